// Package redis is the resource provider Microsoft.Cache: Azure Cache for Redis and Azure Managed
// Redis with their data access policies and who is assigned them. A cache that is made here
// answers at its host at once; what it holds is not kept over a restart. Access keys are shown to
// who may list them, and open nothing; firewall rules are taken and let everybody pass.
//
// Source of requests and answers: azure-rest-api-specs, specification/redis/resource-manager/
// Microsoft.Cache/stable/2024-03-01/examples (RedisCacheAccessPolicyAssignmentCreateUpdate.json,
// RedisCacheAccessPolicyCreateUpdate.json), and azure-cli, test_redis_cache_with_aad.yaml of its
// recordings (2024-01), unless another one stands beside it.
package redis

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	caches "github.com/wiemu/wiemu/internal/resource/redis"
)

const namespace = "Microsoft.Cache"

// versions of the types. Source: azure-rest-api-specs, specification/redis and redisenterprise.
var (
	versions           = strings.Fields("2014-04-01 2015-03-01 2015-08-01 2016-04-01 2017-02-01 2017-10-01 2018-03-01 2019-07-01 2020-06-01 2020-12-01 2021-06-01 2022-05-01 2022-06-01 2023-04-01 2023-05-01-preview 2023-08-01 2024-03-01 2024-04-01-preview 2024-11-01")
	enterpriseVersions = strings.Fields("2020-10-01-preview 2021-02-01-preview 2021-03-01 2021-08-01 2022-01-01 2023-03-01-preview 2023-07-01 2023-08-01-preview 2023-10-01-preview 2023-11-01 2024-02-01 2024-03-01-preview 2024-06-01-preview 2024-09-01-preview 2024-10-01 2025-04-01 2025-05-01-preview 2025-07-01")
)

type service struct {
	*rest.Manager
	cache, policy, assignment *rest.Kind
	cluster, database, member *rest.Kind // of Managed Redis
}

// New returns the provider.
func New(m *rest.Manager) rest.Provider {
	s := &service{Manager: m}
	later := rest.Async{Changed: http.StatusOK, Deleted: http.StatusAccepted, Status: "asyncOperations", Result: "operationResults"}
	s.cache = &rest.Kind{
		Type: namespace + "/Redis", Title: "Redis cache", Versions: versions, Async: later,
		Make: s.makeCache, Open: s.open, Close: s.close, Configured: s.configured,
	}
	s.policy = s.cache.Child("accessPolicies", "data access policy")
	s.policy.Async, s.policy.Make, s.policy.Open, s.policy.Close, s.policy.Configured = later, s.makePolicy, s.open, s.open, s.builtIn
	s.assignment = s.cache.Child("accessPolicyAssignments", "assignment of a data access policy")
	s.assignment.Async, s.assignment.Make, s.assignment.Open, s.assignment.Close = later, s.makeAssignment, s.open, s.open
	rules := s.cache.FirewallRules("startIP", "endIP", "InvalidRequestBody", "The value of the parameter 'properties.startIP' is invalid.")
	s.cluster = &rest.Kind{Type: namespace + "/redisEnterprise", Title: "Managed Redis", Versions: enterpriseVersions, Async: later, Make: s.makeCluster, Close: s.close}
	s.database = s.cluster.Child("databases", "database of Managed Redis")
	s.database.Async, s.database.Make, s.database.Open, s.database.Close, s.database.NoPatch = later, makeDatabase, s.open, s.close, false
	s.member = s.database.Child("accessPolicyAssignments", "assignment of a data access policy")
	s.member.Async, s.member.Make, s.member.Open, s.member.Close = later, makeMember, s.open, s.open
	p := m.NewProvider(namespace, s.cache, s.policy, s.assignment, rules, s.cluster, s.database, s.member)
	const group = "/subscriptions/{subscription}/resourcegroups/{group}/providers/microsoft.cache/"
	listKeys := func(path, action string, of *rest.Kind) {
		p.Add(http.MethodPost, group+path+"/listkeys", "list keys of Redis", action+"/listKeys/action", of.Versions, rest.On(of.Find, s.listKeys))
	}
	listKeys("redis/{name0}", "redis", s.cache)
	listKeys("redisenterprise/{name0}/databases/{name1}", "redisEnterprise/databases", s.database)
	return p
}

// served are the caches of the lab.
func (s *service) served() *caches.Caches { return s.Kit.Service(caches.Name).(*caches.Caches) }

// instance is the name of the cache that an item is, or belongs to, among those that are served.
func (s *service) instance(i rest.Item) (name string, owner rest.Item, ok bool) {
	segments := strings.Split(i.ID, "/")
	owner, ok = s.Item(strings.Join(segments[:9], "/"))
	if !ok {
		owner = i // it was deleted a moment ago
	}
	if strings.EqualFold(segments[7], "redisEnterprise") {
		database, has := s.Item(strings.Join(segments[:9], "/") + "/databases/default")
		return i.Top() + "." + s.Region(owner), database, ok && has
	}
	return i.Top(), owner, ok
}

// open has the cache that an item is, or belongs to, be what all its items make of it now.
func (s *service) open(i rest.Item) error {
	name, owner, ok := s.instance(i)
	if !ok {
		return nil
	}
	plain, region, _ := strings.Cut(name, ".")
	c := caches.Cache{Name: plain, Region: region, Tenant: owner.Tenant, ResourceID: owner.ID, Access: caches.PolicyAssignments{}}
	if now, served := s.served().Cache(name); served && !strings.EqualFold(now.ResourceID, owner.ID) {
		return fmt.Errorf("%w: expected one that no other cache has, found that of one of wiemu.yaml", resource.ErrNameTaken)
	}
	policies, assignments := s.policy.Type, s.assignment.Type
	enabled := entra(owner)
	if region != "" {
		policies, assignments, enabled = "", s.member.Type, true
	}
	c.Policies = map[string]string{}
	for _, p := range s.Below(owner, policies) {
		c.Policies[p.Name] = p.ReadProperties().Text("permissions")
	}
	for _, a := range s.Below(owner, assignments) {
		p := a.ReadProperties()
		id := p.Text("objectId")
		if region != "" {
			var user struct {
				ObjectID string `json:"objectId"`
			}
			if _, err := p.Read("user", &user); err != nil {
				return err
			}
			id = user.ObjectID
		}
		policy := p.Text("accessPolicyName")
		if _, custom := c.Policies[policy]; !custom && !caches.IsBuiltIn(policy) {
			continue // it was deleted
		}
		if principal, ok := s.Kit.Directory.PrincipalByObjectID(owner.Tenant, id); ok && enabled {
			c.Access = append(c.Access, caches.PolicyAssignment{Identity: principal.ClientID, Policy: policy})
		}
	}
	return s.served().Put(c)
}

func (s *service) close(i rest.Item) error {
	name := i.Top()
	if strings.HasPrefix(i.Type, s.cluster.Type) {
		if strings.Count(i.Type, "/") > 1 { // its cluster is there, and has the region
			cluster, _ := s.Item(strings.TrimSuffix(i.ID, "/databases/"+i.Name))
			i.Location = cluster.Location
		}
		name += "." + s.Region(i)
	}
	s.served().Delete(name)
	return nil
}

// entra reports whether a cache lets identities in.
func entra(i rest.Item) bool {
	var configuration map[string]string
	if _, err := i.ReadProperties().Read("redisConfiguration", &configuration); err != nil {
		return false
	}
	for name, value := range configuration {
		if strings.EqualFold(name, "aad-enabled") {
			return strings.EqualFold(value, "true")
		}
	}
	return false
}

// makeCache checks what a cache is asked to be.
// Source of the text of NameNotAvailable: many logs ("… is not available"), not seen whole: inferred.
func (s *service) makeCache(_ *rest.Call, i, was *rest.Item, p rest.Properties) *resource.Failure {
	if was == nil {
		switch {
		case !caches.ValidName(i.Name):
			return rest.BadRequest("InvalidRequestBody", fmt.Sprintf("The name '%s' is invalid. It may have 1 to 63 lower-case letters, digits and single hyphens, and must begin and end with a letter or digit.", i.Name), "A cache has a name that Azure does not take.")
		case s.served().Has(i.Name):
			return resource.Fail(http.StatusConflict, "NameNotAvailable", fmt.Sprintf("An error occurred when trying to reserve the DNS name for the cache. This may be because the name '%s' is not available.", i.Name), "Another cache has this name.", "Take another name.")
		}
	}
	var sku struct {
		Name     string `json:"name"`
		Family   string `json:"family"`
		Capacity int    `json:"capacity"`
	}
	if ok, err := p.Read("sku", &sku); err != nil || !ok || !slices.Contains([]string{"Basic", "Standard", "Premium"}, sku.Name) {
		return rest.BadRequest("InvalidRequestBody", "The value of the parameter 'properties.sku.name' is invalid.", "A cache's sku is Basic, Standard or Premium.") // text inferred
	}
	sku.Family = strings.ToUpper(sku.Family)
	p.Set("sku", sku)
	var configuration map[string]string
	if _, err := p.Read("redisConfiguration", &configuration); err != nil {
		return rest.BadRequest("InvalidRequestBody", "The value of the parameter 'properties.redisConfiguration' is invalid.", err.Error()) // text inferred
	}
	p.Default("redisConfiguration", map[string]string{})
	p.Default("redisVersion", "6.0")
	p.Default("enableNonSslPort", false)
	p.Default("publicNetworkAccess", "Enabled")
	p.Set("provisioningState", "Succeeded")
	p.Set("hostName", i.Name+s.domain())
	p.Set("port", 6379)
	p.Set("sslPort", caches.CachePort)
	p.Default("linkedServers", []any{})
	i.SKU, i.Kind = nil, ""
	return nil
}

// domain is the end of the hosts of caches.
func (s *service) domain() string { return caches.Description().Hosts(s.Kit.Cloud())[0] }

// configured are the caches of wiemu.yaml in a tenant, those of Managed Redis aside.
func (s *service) configured(tenant string) (all []rest.Item) {
	for _, name := range s.served().Names() {
		c, ok := s.served().Cache(name)
		if !ok || c.ResourceID != "" || c.Region != "" || !strings.EqualFold(c.Tenant, tenant) {
			continue
		}
		_, id := s.served().Scope(name)
		p := rest.Properties{}
		p.Set("sku", map[string]any{"name": "Standard", "family": "C", "capacity": 1})
		p.Set("redisConfiguration", map[string]string{"aad-enabled": "true"})
		p.Set("provisioningState", "Succeeded")
		p.Set("hostName", name+s.domain())
		p.Set("sslPort", caches.CachePort)
		all = append(all, s.OfConfiguration(s.cache, tenant, id, name, p))
	}
	return all
}

// builtIn are Azure's own policies of each cache.
func (s *service) builtIn(tenant string) (all []rest.Item) {
	owners := append(s.configured(tenant), s.Items(s.cache.Type, func(i *rest.Item) bool { return i.Tenant == tenant })...)
	for _, owner := range owners {
		for _, name := range []string{"Data Owner", "Data Contributor", "Data Reader"} {
			i := rest.Item{ID: owner.ID + "/accessPolicies/" + name, Tenant: tenant, Type: s.policy.Type, Name: name}
			p := rest.Properties{}
			p.Set("provisioningState", "Succeeded")
			p.Set("type", "BuiltIn")
			i.SetProperties(p)
			all = append(all, i)
		}
	}
	return all
}

// makePolicy checks a custom policy. The text is inferred.
func (s *service) makePolicy(c *rest.Call, i, _ *rest.Item, p rest.Properties) *resource.Failure {
	cache, failed := c.At(s.cache, "write")
	if failed != nil {
		return failed
	}
	if cache.Made.IsZero() {
		return rest.Locked(cache.ID, "write")
	}
	permissions := p.Text("permissions")
	if err := caches.CheckPolicy(i.Name, permissions); err != nil || permissions == "" || !rest.Plain(i.Name) {
		meaning := "A policy has permissions in the words of Redis's ACL, such as +@read ~app:*."
		if err != nil {
			meaning = err.Error()
		}
		return rest.BadRequest("InvalidRequestBody", "The value of the parameter 'properties.permissions' is invalid.", meaning)
	}
	p.Set("provisioningState", "Succeeded")
	p.Set("type", "Custom")
	return nil
}

// makeAssignment checks who is assigned which policy. The texts are inferred.
func (s *service) makeAssignment(c *rest.Call, i, _ *rest.Item, p rest.Properties) *resource.Failure {
	cache, failed := c.At(s.cache, "write")
	if failed != nil {
		return failed
	}
	if cache.Made.IsZero() { // who has which policy is in wiemu.yaml
		return rest.Locked(cache.ID, "write")
	}
	name := p.Text("accessPolicyName")
	policy, custom := s.Item(cache.ID + "/accessPolicies/" + name)
	if custom {
		p.Set("accessPolicyName", policy.Name)
	}
	switch {
	case !custom && (!caches.IsBuiltIn(name) || name == "default"):
		return rest.BadRequest("InvalidRequestBody", fmt.Sprintf("The access policy '%s' does not exist.", name), "A cache has the policies Data Owner, Data Contributor and Data Reader, and its own.")
	case !rest.IsGUID(p.Text("objectId")):
		return rest.BadRequest("InvalidRequestBody", "The value of the parameter 'properties.objectId' is invalid.", "A policy is assigned to an object id, which is a GUID.")
	case p.Text("objectIdAlias") == "":
		return rest.BadRequest("InvalidRequestBody", "The value of the parameter 'properties.objectIdAlias' is invalid.", "An assignment names the object id for people.")
	case !rest.Plain(i.Name):
		return rest.BadRequest("InvalidRequestBody", fmt.Sprintf("The name '%s' is invalid.", i.Name), "An assignment has a name of letters, digits and hyphens.")
	}
	p.Set("provisioningState", "Succeeded")
	return nil
}

// makeCluster checks a cluster of Managed Redis, whose host its database opens. Its texts and
// those of the two types below it are inferred.
func (s *service) makeCluster(_ *rest.Call, i, was *rest.Item, p rest.Properties) *resource.Failure {
	if was == nil {
		switch {
		case !caches.ValidName(i.Name):
			return rest.BadRequest("InvalidRequestBody", fmt.Sprintf("The name '%s' is invalid.", i.Name), "A Managed Redis has a name that Azure does not take.")
		case s.served().Has(i.Name + "." + i.Location):
			return resource.Fail(http.StatusConflict, "NameNotAvailable", fmt.Sprintf("The name '%s' is not available.", i.Name), "Another Managed Redis has this name in the region.", "Take another name.")
		}
		for _, o := range s.Items(s.cluster.Type, func(o *rest.Item) bool { return o.Name == i.Name && o.Location == i.Location }) {
			return resource.Fail(http.StatusConflict, "NameNotAvailable", fmt.Sprintf("The name '%s' is not available.", i.Name), "Another Managed Redis has this name in the region: "+o.ID+".", "Take another name.")
		}
	}
	if i.SKU == nil {
		return rest.BadRequest("InvalidRequestBody", "The value of the parameter 'sku.name' is invalid.", "A Managed Redis has a sku, such as {name: Balanced_B5}.")
	}
	p.Set("provisioningState", "Succeeded")
	p.Set("resourceState", "Running")
	p.Default("redisVersion", "7.4")
	p.Set("hostName", i.Name+"."+i.Location+caches.Description().Hosts(s.Kit.Cloud())[1])
	return nil
}

func makeDatabase(_ *rest.Call, i, _ *rest.Item, p rest.Properties) *resource.Failure {
	if i.Name != "default" {
		return rest.BadRequest("InvalidRequestBody", fmt.Sprintf("The database name '%s' is invalid. It must be 'default'.", i.Name), "A Managed Redis has one database.")
	}
	p.Default("clientProtocol", "Encrypted")
	p.Set("port", caches.ManagedPort)
	p.Set("provisioningState", "Succeeded")
	p.Set("resourceState", "Running")
	p.Default("clusteringPolicy", "OSSCluster")
	p.Default("evictionPolicy", "VolatileLRU")
	p.Default("accessKeysAuthentication", "Disabled")
	return nil
}

func makeMember(_ *rest.Call, i, _ *rest.Item, p rest.Properties) *resource.Failure {
	var user struct {
		ObjectID string `json:"objectId"`
	}
	if _, err := p.Read("user", &user); err != nil || !rest.IsGUID(user.ObjectID) {
		return rest.BadRequest("InvalidRequestBody", "The value of the parameter 'properties.user.objectId' is invalid.", "A policy is assigned to an object id, which is a GUID.")
	}
	if p.Text("accessPolicyName") != "default" || !rest.Plain(i.Name) {
		return rest.BadRequest("InvalidRequestBody", "The value of the parameter 'properties.accessPolicyName' is invalid.", "A Managed Redis has the policy default.")
	}
	p.Set("provisioningState", "Succeeded")
	return nil
}

// listKeys shows keys of the form of Azure's. The cache does not take them.
// Source: azure-rest-api-specs, RedisAccessKeys.
func (s *service) listKeys(_ *rest.Call, i rest.Item) (rest.Reply, *resource.Failure) {
	keys := map[string]string{}
	for _, name := range []string{"primaryKey", "secondaryKey"} {
		keys[name] = s.AccessKey(i, "Redis "+i.Top(), name, 32)
	}
	return rest.Reply{Body: keys}, nil
}
