package recording

import (
	"maps"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/resource/sql"
)

// withoutEngines takes the SQL Servers of one machine, with their passwords, out of the
// section sqlServers.
func withoutEngines(c *config.Config) {
	written, ok := c.Resources["sqlServers"]
	if !ok {
		return
	}
	c.Resources = maps.Clone(c.Resources)
	var servers sql.Settings
	text, err := yaml.Marshal(written)
	if err == nil {
		err = yaml.Unmarshal(text, &servers)
	}
	if err != nil { // Complete reports it
		delete(c.Resources, "sqlServers")
		return
	}
	for n := range servers {
		servers[n].Engine = sql.Engine{}
	}
	c.Resources["sqlServers"] = &servers
}
