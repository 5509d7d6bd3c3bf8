package recording

import (
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/resource/sql"
)

// A recording has no SQL Server of the machine that it was made on, nor its password.
func TestARecordingHasNoEngine(t *testing.T) {
	for name, section := range map[string]any{
		"of a file":       &sql.Settings{{Name: "orders", Engine: sql.Engine{URL: "sqlserver://sa:secret@localhost"}}},
		"of a Go program": []any{map[string]any{"name": "orders", "engine": map[string]any{"url": "sqlserver://sa:secret@localhost"}}},
	} {
		c := config.Config{Resources: map[string]any{"sqlServers": section}}
		withoutThisMachine(&c)
		servers, ok := c.Resources["sqlServers"].(*sql.Settings)
		if !ok || len(*servers) != 1 || (*servers)[0].Name != "orders" || (*servers)[0].Engine.URL != "" {
			t.Errorf("%s: %+v", name, c.Resources)
		}
	}
}
