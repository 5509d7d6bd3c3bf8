package config

import (
	"cmp"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Webhook is about the pods of a cluster, which wiemu-server changes as azure-workload-identity's webhook does.
type Webhook struct {
	// Issuer is the name of the issuer that signs for the cluster's pods. Default: the first of this file.
	Issuer string `yaml:"issuer,omitempty" json:"issuer,omitempty"`
	// Layout is the version of azure-workload-identity that says where pods find their token: "1.6" or, as it was before, "1.5". Default: 1.6.
	Layout string `yaml:"layout,omitempty" json:"layout,omitempty" jsonschema:"enum=1.6,enum=1.5"`
	// Sidecar is the proxy that pods may ask for. Default: there is none, and who asks for it is refused.
	Sidecar WebhookSidecar `yaml:"sidecar,omitempty" json:"sidecar,omitzero"`
}

// WebhookSidecar names the images of azure-workload-identity's proxy, which the cluster has to have.
type WebhookSidecar struct {
	// Image is azure-workload-identity's proxy.
	Image string `yaml:"image" json:"image"`
	// InitImage is azure-workload-identity's proxy-init.
	InitImage string `yaml:"initImage" json:"initImage"`
}

// webhookLayouts are the values of a webhook's layout, the default first.
func webhookLayouts() []string { return []string{"1.6", "1.5"} }

// completeWebhook fills in what pods are given. First is the issuer that the
// file names first; "": none.
func (c *Config) completeWebhook(p *problems, first string) {
	w := &c.Webhook
	var issuers []string
	for _, i := range c.Issuers {
		issuers = append(issuers, i.Name)
	}
	if w.Issuer = cmp.Or(w.Issuer, first); w.Issuer == "" {
		w.Issuer = issuers[0]
	}
	if !slices.Contains(issuers, w.Issuer) {
		p.add("webhook.issuer", "the name of an issuer: "+strings.Join(issuers, ", "), w.Issuer, yamlfile.DidYouMean(w.Issuer, issuers))
	}
	layouts := webhookLayouts()
	w.Layout = cmp.Or(w.Layout, layouts[0])
	if !slices.Contains(layouts, w.Layout) {
		p.add("webhook.layout", strings.Join(layouts, " or "), w.Layout, "1.6 is that of azure-workload-identity from v1.6.0 on")
	}
	if (w.Sidecar.Image == "") != (w.Sidecar.InitImage == "") {
		p.add("webhook.sidecar", "image and initImage", "one of them", "name azure-workload-identity's proxy and proxy-init, or neither")
	}
}
