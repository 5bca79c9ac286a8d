"""Networks, each written once for a stack of K trials x N networks."""
