"""Write example lakes: raw tables to try Headrace on, as a source system would leave them."""
