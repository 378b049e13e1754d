"""Cases, conversations, claims, verdicts and their counterexamples."""
