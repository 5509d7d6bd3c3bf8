package workload

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// A deployment collects what runs in one environment.
type deployment struct {
	*reader
	application string
	environment string
	workloads   []Workload
	parts       []Workload // with an identity or without
	triggers    []Workload
}

func (d *deployment) namespace() string { return d.application + "-" + d.environment }

// part adds a component or job, with its OAuth2 proxy and triggers. What an
// environment says is merged over what the part says, field by field, and wins
// where it is not empty. Operator: pkg/apis/deployment/radixcommoncomponent.go.
func (d *deployment) part(p part) {
	over := p.in(d.environment)
	w := Workload{
		Application: d.application, Environment: d.environment, Component: p.name, Role: p.role,
		Namespace: d.namespace(), ServiceAccount: p.name + "-sa",
		ClientID: cmp.Or(over.Identity.clientID(), p.base.Identity.clientID()),
	}
	w.KeyVaults = d.keyVaults(p, over, w.ClientID)
	d.volumeMounts(p, over, w.ClientID)
	if w.ClientID != "" {
		d.workloads = append(d.workloads, w)
	} else {
		w.ServiceAccount = NoIdentity
	}
	d.parts = append(d.parts, w)
	d.oauth(p, over)
	d.scaling(p, over)
}

func (i *identityFile) clientID() string {
	if i == nil {
		return ""
	}
	return i.ClientID
}

// oauth adds the OAuth2 proxy of a component if it proves itself by workload
// identity. Operator: OAuth2.GetServiceAccountName.
func (d *deployment) oauth(p part, over level) {
	base, env := p.base.Authentication.OAuth2, over.Authentication.OAuth2
	if cmp.Or(env.Credentials, base.Credentials) != azureWorkloadIdentity {
		return
	}
	field := p.base.field
	if env.ClientID != "" || base.ClientID == "" && env.Credentials != "" {
		field = over.field
	}
	written := cmp.Or(env.ClientID, base.ClientID)
	id, err := ParseClientID(written)
	if err != nil {
		d.refuse(field+".authentication.oauth2.clientId", aClientID+", as credentials is azureWorkloadIdentity", found(written), whereClientID)
		return
	}
	d.workloads = append(d.workloads, Workload{
		Application: d.application, Environment: d.environment, Component: p.name + "-aux-oauth", Role: OAuth,
		Namespace: d.namespace(), ServiceAccount: p.name + "-aux-oauth-sa", ClientID: id,
	})
}

// scaling adds the triggers with an identity. An environment's triggers replace
// the component's. Operator: getRadixCommonComponentHorizontalScaling.
func (d *deployment) scaling(p part, over level) {
	triggers := p.base.HorizontalScaling.Triggers
	if len(over.HorizontalScaling.Triggers) > 0 || !yamlfile.IsNull(over.HorizontalScaling.Resources) {
		triggers = over.HorizontalScaling.Triggers
	}
	for _, t := range triggers {
		id := cmp.Or(t.AzureServiceBus.Authentication.Identity.clientID(), t.AzureEventHub.Authentication.Identity.clientID())
		if id == "" {
			continue
		}
		d.triggers = append(d.triggers, Workload{
			Application: d.application, Environment: d.environment, Component: p.name + "/" + t.Name, Role: Trigger,
			Namespace: "keda", ServiceAccount: "keda-operator", ClientID: id,
		})
	}
}

// subPipeline adds an environment's sub-pipeline if it has an identity.
func (d *deployment) subPipeline(spec *specFile, environment int) {
	var id string
	if p := spec.Build.SubPipeline; p != nil {
		id = p.Identity.clientID()
	}
	if p := spec.Environments[environment].SubPipeline; p != nil && p.Identity != nil {
		id = cmp.Or(p.Identity.ClientID, id)
		if p.Identity.None {
			id = ""
		}
	}
	if id == "" {
		return
	}
	d.workloads = append(d.workloads, Workload{
		Application: d.application, Environment: d.environment, Component: "subpipeline", Role: SubPipeline,
		Namespace: d.application + "-app", ServiceAccount: "subpipeline-" + d.environment + "-sa", ClientID: id,
	})
}

// What Radix mounts for a part with the part's identity: secrets of Azure Key
// Vaults, and blob containers.

// keyVaults returns the vaults that are read with the identity. Operator:
// getRadixCommonComponentAzureKeyVaultSecretRefs.
func (d *deployment) keyVaults(p part, over level, clientID string) []KeyVault {
	var vaults []KeyVault
	for _, ref := range vaultRefs(p.base, over) {
		if ref.field == "" { // not read with the identity
			continue
		}
		if clientID == "" {
			d.refuse(ref.field+".useAzureIdentity", fmt.Sprintf("an Azure identity of %s in %s", p.name, d.environment),
				"missing Azure identity for Azure Key vault with useAzureIdentity enabled",
				"add identity.azure.clientId to the "+string(p.role)+" or to this environment of it")
			continue
		}
		vaults = append(vaults, ref.vault)
	}
	return vaults
}

// A vaultRef is a vault that a part refers to in an environment.
type vaultRef struct {
	vault KeyVault
	field string // where useAzureIdentity is set to true; "" where it is not
}

// vaultRefs merges an environment's references over the part's, by vault and variable.
func vaultRefs(base, over level) []vaultRef {
	var refs []vaultRef
	taken := map[string]bool{} // environment variables that the environment's references set
	for _, vault := range over.SecretRefs.AzureKeyVaults {
		for _, item := range vault.Items {
			taken[item.EnvVar] = true
		}
	}
	for i, vault := range over.SecretRefs.AzureKeyVaults {
		refs = append(refs, vaultRef{vault.plain(nil), vault.identityField(over.field, i)})
	}
	for i, vault := range base.SecretRefs.AzureKeyVaults {
		field, plain := vault.identityField(base.field, i), vault.plain(taken)
		at := slices.IndexFunc(over.SecretRefs.AzureKeyVaults, func(o keyVaultFile) bool { return o.Name == vault.Name })
		switch {
		case at < 0 && len(plain.Items) > 0:
			refs = append(refs, vaultRef{plain, field})
		case at >= 0:
			refs[at].vault.Items = append(refs[at].vault.Items, plain.Items...)
			refs[at].vault.Path = cmp.Or(refs[at].vault.Path, plain.Path)
			if over.SecretRefs.AzureKeyVaults[at].UseAzureIdentity == nil {
				refs[at].field = field
			}
		}
	}
	return refs
}

func (v keyVaultFile) identityField(level string, i int) string {
	if v.UseAzureIdentity == nil || !*v.UseAzureIdentity {
		return ""
	}
	return fmt.Sprintf("%s.secretRefs.azureKeyVaults[%d]", level, i)
}

// plain returns the vault without the items that set a variable that is already set.
func (v keyVaultFile) plain(taken map[string]bool) KeyVault {
	vault := KeyVault{Name: v.Name, Path: v.Path}
	for _, item := range v.Items {
		if !taken[item.EnvVar] {
			vault.Items = append(vault.Items, KeyVaultItem{
				Name: item.Name, Type: cmp.Or(item.Type, "secret"), EnvVar: item.EnvVar,
				Alias: item.Alias, Version: item.Version, Format: item.Format, Encoding: item.Encoding,
			})
		}
	}
	return vault
}

// volumeMounts checks blob containers that are mounted with the identity.
// Operator: webhook/validation/radixapplication/validate_volumemounts.go.
func (d *deployment) volumeMounts(p part, over level, clientID string) {
	for i, mount := range over.VolumeMounts {
		merged := mount.BlobFuse2
		if at := indexMount(p.base.VolumeMounts, mount.Name); at >= 0 {
			merged = merged.over(p.base.VolumeMounts[at].BlobFuse2)
		}
		d.blobFuse2(p, merged, clientID, fmt.Sprintf("%s.volumeMounts[%d].blobFuse2", over.field, i))
	}
	for i, mount := range p.base.VolumeMounts {
		if indexMount(over.VolumeMounts, mount.Name) < 0 {
			d.blobFuse2(p, mount.BlobFuse2, clientID, fmt.Sprintf("%s.volumeMounts[%d].blobFuse2", p.base.field, i))
		}
	}
}

func indexMount(mounts []volumeMountFile, name string) int {
	return slices.IndexFunc(mounts, func(m volumeMountFile) bool { return m.Name == name })
}

// over is what an environment says of a mount merged over what the part says.
func (b *blobFuse2File) over(base *blobFuse2File) *blobFuse2File {
	if b == nil {
		return base
	}
	if base == nil {
		return b
	}
	merged := blobFuse2File{
		UseAzureIdentity: cmp.Or(b.UseAzureIdentity, base.UseAzureIdentity),
		SubscriptionID:   cmp.Or(b.SubscriptionID, base.SubscriptionID),
		ResourceGroup:    cmp.Or(b.ResourceGroup, base.ResourceGroup),
		StorageAccount:   cmp.Or(b.StorageAccount, base.StorageAccount),
	}
	return &merged
}

func (d *deployment) blobFuse2(p part, b *blobFuse2File, clientID, field string) {
	if b == nil || b.UseAzureIdentity == nil || !*b.UseAzureIdentity {
		return
	}
	if clientID == "" {
		d.refuse(field+".useAzureIdentity", fmt.Sprintf("an Azure identity of %s in %s", p.name, d.environment),
			"missing component Azure identity", "add identity.azure.clientId to the "+string(p.role)+" or to this environment of it")
	}
	for _, required := range []struct {
		field string
		value string
		what  string
	}{
		{"subscriptionId", b.SubscriptionID, "subscription id"},
		{"resourceGroup", b.ResourceGroup, "resource group"},
		{"storageAccount", b.StorageAccount, "storage account"},
	} {
		if required.value == "" {
			d.refuse(field+"."+required.field, "the "+required.what+", as useAzureIdentity is true", "missing "+required.what, "add "+required.field)
		}
	}
}
