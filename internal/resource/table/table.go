// Package table lists the protected resources. Whatever needs their names, hosts,
// ports, audiences or sections of wiemu.yaml reads them here: the gateway, the CA,
// isolation, containers and clusters, the token service, faults and the documentation.
package table

import (
	"strings"

	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm"
	"github.com/wiemu/wiemu/internal/resource/graph"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/resource/postgres"
	"github.com/wiemu/wiemu/internal/resource/redis"
	"github.com/wiemu/wiemu/internal/resource/sql"
	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/backends"
)

// Resources are all that there are. A new one is a line here.
func Resources() []resource.Description {
	return []resource.Description{
		keyvault.Description(),
		graph.Description(),
		arm.Description(),
		storage.Description(backends.Open),
		sql.Description(),
		redis.Description(),
		postgres.Description(),
	}
}

// Names are those by which faults know the resources.
func Names() []string {
	var names []string
	for _, d := range Resources() {
		names = append(names, d.Name)
	}
	return names
}

// Chaos are the names of those that chaos may fail.
func Chaos() []string {
	var names []string
	for _, d := range Resources() {
		if d.Chaos {
			names = append(names, d.Name)
		}
	}
	return names
}

// Hosts are the hosts of all resources in a cloud. One that begins with a dot stands
// for one host for each instance: see InstanceHosts.
func Hosts(in cloud.Cloud) []string {
	var hosts []string
	for _, d := range Resources() {
		hosts = append(hosts, d.Hosts(in)...)
	}
	return hosts
}

// InstanceHosts are the hosts of all resources in a cloud by name. instances returns the
// names of a resource's instances, such as vaults.
func InstanceHosts(in cloud.Cloud, instances func(resource.Description) []string) []string {
	var hosts []string
	for _, d := range Resources() {
		for _, host := range d.Hosts(in) {
			hosts = append(hosts, d.At(host, instances(d))...)
		}
	}
	return hosts
}

// Instance splits a host of a resource that has one host for each instance into its
// resource and the name of the instance, in lower case. The resource is nil if the host
// is of no such resource.
func Instance(in cloud.Cloud, host string) (*resource.Description, string) {
	host = strings.ToLower(host)
	for _, d := range Resources() {
		for _, suffix := range d.Hosts(in) {
			if name, ok := strings.CutSuffix(host, suffix); ok && strings.HasPrefix(suffix, ".") {
				return &d, name
			}
		}
	}
	return nil, ""
}
