package proxy

// StandardOnly keeps all connections on the standard road.
func StandardOnly(config Config) Config {
	config.isStandardOnly = true
	return config
}
