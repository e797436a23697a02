"""Partners behind routers, in network namespaces of this machine: needs root, `ip` and `iptables`; `make nat`."""
