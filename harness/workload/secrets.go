package workload

import (
	"fmt"
	"slices"
)

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

// vaultRefs merges the environment's references over the part's: by name of the
// vault, and by environment variable within one.
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

// plain is the vault without the items whose environment variable is taken.
func (v keyVaultFile) plain(taken map[string]bool) KeyVault {
	vault := KeyVault{Name: v.Name}
	for _, item := range v.Items {
		if !taken[item.EnvVar] {
			vault.Items = append(vault.Items, KeyVaultItem{Name: item.Name, Type: first(item.Type, "secret"), EnvVar: item.EnvVar})
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
		UseAzureIdentity: b.UseAzureIdentity,
		SubscriptionID:   first(b.SubscriptionID, base.SubscriptionID),
		ResourceGroup:    first(b.ResourceGroup, base.ResourceGroup),
		StorageAccount:   first(b.StorageAccount, base.StorageAccount),
	}
	if merged.UseAzureIdentity == nil {
		merged.UseAzureIdentity = base.UseAzureIdentity
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
