"""What tables say of themselves, without any packet being run."""
