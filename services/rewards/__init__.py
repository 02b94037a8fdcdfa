"""What points are spent on: offers, redemptions, vouchers. See README.md."""
