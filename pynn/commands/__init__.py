"""The work behind the subcommands of ``pynn``; each module is imported when its command runs."""
