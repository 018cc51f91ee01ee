"""Name the rules of a recipe, as ledgers, quarantines and models list them."""

from headrace.recipe import sections as s


def name_rule(rule: "s.Rule") -> str:
    """Return the name of a rule that the recipe gives none."""
    if isinstance(rule, s.NotNull | s.Unique):
        return f"{rule.kind}({', '.join(rule.columns)})"
    if isinstance(rule, s.Expr):
        return rule.expression[:60]
    return f"{rule.kind}({rule.column})"


def list_rule_names(rules: "list[s.Rule]") -> list[str]:
    """Return the name of each rule, numbered where an earlier one has it."""
    names: set[str] = set()
    return [choose_unused_name(rule.name or name_rule(rule), names) for rule in rules]


def choose_unused_name(name: str, names: set[str]) -> str:
    """Return the name, numbered where it is among the names, and add it to them."""
    chosen, number = name, 2
    while chosen in names:
        chosen, number = f"{name} #{number}", number + 1
    names.add(chosen)
    return chosen
