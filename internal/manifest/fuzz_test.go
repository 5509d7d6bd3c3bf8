package manifest_test

import (
	"testing"

	"github.com/wiemu/wiemu/internal/manifest"
	"github.com/wiemu/wiemu/internal/webhook"
)

// FuzzManifests: whatever the files, the answer is an error or objects that can be
// written, and every container has an environment.
func FuzzManifests(f *testing.F) {
	f.Add([]byte("kind: List\nitems:\n- {kind: ServiceAccount, metadata: {name: default}}\n- {kind: Pod, metadata: {labels: {azure.workload.identity/use: 'true'}}, spec: {containers: [{name: web}]}}\n"))
	f.Add([]byte("kind: CronJob\nspec: {jobTemplate: {spec: {template: {metadata: {labels: {azure.workload.identity/use: 'true'}}, spec: {}}}}}\n---\nkind: Deployment\nspec: {template: null}\n"))
	f.Add([]byte("kind: Secret\nmetadata: {name: s}\ndata: {A: YQ==}\n---\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, envFrom: [{prefix: X, secretRef: {name: s}}], env: [{name: B, value: $(XA)$$(C}, {name: D, valueFrom: {fieldRef: {fieldPath: 'metadata.labels[''a'']'}}}]}]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		o := manifest.New("")
		if o.Add("f.yaml", data) != nil {
			return
		}
		for _, p := range o.Pods() {
			for _, c := range p.Template.Spec.Containers {
				o.Environ(p, c)
			}
			_, _ = o.Start(p, "")
		}
		made, err := o.Mutate(webhook.Settings{Identity: &webhook.IdentitySettings{Audience: "a"}})
		if err != nil {
			return
		}
		for _, m := range made {
			if _, err := manifest.YAML(m.Object); err != nil {
				t.Errorf("%s cannot be written: %v", m.Object, err)
			}
		}
	})
}
