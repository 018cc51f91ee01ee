"""Example lakes: raw tables to try Headrace on, written as a source system would leave them."""
