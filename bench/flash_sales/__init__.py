"""What a hold decision costs, beside what plain Valkey calls allow. `make bench-flash-sales`."""
