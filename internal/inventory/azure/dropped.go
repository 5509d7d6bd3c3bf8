package azure

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// object is a kind of object, with its properties that are taken over or that wiemu.yaml has
// in another way.
type object struct {
	many  string
	taken []string
}

// The kinds of objects. What is derived from other properties is taken with these.
var (
	anApplication = object{"applications", strings.Fields("appId displayName identifierUris isFallbackPublicClient api.requestedAccessTokenVersion passwordCredentials keyCredentials")}
	aPrincipal    = object{"service principals", strings.Fields("appId displayName appDisplayName servicePrincipalType servicePrincipalNames alternativeNames appRoleAssignmentRequired accountEnabled appOwnerOrganizationId signInAudience passwordCredentials keyCredentials")}
	anIdentity    = object{"managed identities", strings.Fields("tenantId clientId principalId")}
	aCredential   = object{"federated credentials", strings.Fields("issuer subject audiences claimsMatchingExpression")}
	anAssignment  = object{"role assignments", strings.Fields("principalId principalName principalType roleDefinitionId roleDefinitionName scope condition conditionVersion")}
	aRole         = object{"custom roles", strings.Fields("roleName roleType description permissions assignableScopes")}
	aVault        = object{"vaults", strings.Fields("tenantId enableRbacAuthorization accessPolicies vaultUri")}
	anAccount     = object{"storage accounts", strings.Fields("tenantId primaryEndpoints")}
)

// byService are properties that the service sets and nobody else: names, and what was done when and by whom.
var byService = strings.Fields("id name type kind resourceGroup subscriptionId systemData etag provisioningState createdDateTime deletedDateTime createdOn updatedOn createdBy updatedBy creationTime publisherDomain isDeletable")

// dropped are the properties of an object that have a value and that wiemu.yaml does not have,
// sorted; those of properties and api by themselves.
func (o object) dropped(data json.RawMessage) []string {
	found := map[string]bool{}
	for name, value := range members(data) {
		switch name {
		case "properties":
			for inner, value := range members(value) {
				found[inner] = found[inner] || !isEmpty(value)
			}
		case "api":
			for inner, value := range members(value) {
				found["api."+inner] = !isEmpty(value)
			}
		default:
			found[name] = found[name] || !isEmpty(value)
		}
	}
	maps.DeleteFunc(found, func(name string, has bool) bool {
		return !has || strings.HasPrefix(name, "@odata.") || slices.Contains(o.taken, name) || slices.Contains(byService, name)
	})
	return slices.Sorted(maps.Keys(found))
}

// members are those of an object; of anything else there are none.
func members(data json.RawMessage) (all map[string]json.RawMessage) {
	if json.Unmarshal(data, &all) != nil {
		return nil
	}
	return all
}

// isEmpty reports whether a value says nothing: null, false, 0, no text, and what has only such in it.
func isEmpty(data json.RawMessage) bool {
	var value any
	return json.Unmarshal(data, &value) != nil || empty(value)
}

func empty(value any) bool {
	switch v := value.(type) {
	case []any:
		return !slices.ContainsFunc(v, func(one any) bool { return !empty(one) })
	case map[string]any:
		return !slices.ContainsFunc(slices.Collect(maps.Values(v)), func(one any) bool { return !empty(one) })
	case string:
		return v == ""
	case float64:
		return v == 0
	case bool:
		return !v
	}
	return true
}

// drop counts the properties of an object that is taken over without them.
func (i *importer) drop(o object, it item) {
	for _, property := range it.dropped {
		if i.dropped[property] == nil {
			i.dropped[property] = map[string]int{}
		}
		i.dropped[property][o.many]++
	}
}

// tellDropped names each property that was dropped, with how many objects of which kind have it.
func (i *importer) tellDropped() {
	for _, property := range slices.Sorted(maps.Keys(i.dropped)) {
		var of []string
		for _, many := range slices.Sorted(maps.Keys(i.dropped[property])) {
			of = append(of, fmt.Sprintf("%s: %d", many, i.dropped[property][many]))
		}
		i.leave("the property %s, which wiemu.yaml does not have (%s)", property, strings.Join(of, ", "))
	}
}
