package config

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// YAML is the file that Parse reads as c.
func (c Config) YAML() ([]byte, error) {
	text, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write a wiemu.yaml: %w", err)
	}
	if c.Vaults != nil && len(c.Vaults) == 0 { // left out, it would be the default ones
		text = append(bytes.TrimPrefix(text, []byte("{}\n")), "vaults: []\n"...)
	}
	return text, nil
}
