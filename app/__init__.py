"""The roof: settings, command line and composition."""
