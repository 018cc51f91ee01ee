"""The one design of Headrace's pages: self-contained HTML that needs no server and no network.

A page is plain values, and `Page.render` makes its text:

    Page(title, sections=(Section("Ledger", Table(...)), Section("Columns", Figure(...)))).render()

Whatever is not `Markup` is escaped where it is written (`markup`), so a column's name cannot become
markup; and the page's own policy runs no script but ours. Every table and figure has one sentence
that says how to read it. What a page shows is decided by its stage, in `prepare` and `evaluate`.
"""
