"""How the command line looks: tables, help, progress, shell completion."""
