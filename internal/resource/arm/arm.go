// Package arm answers as Azure Resource Manager does: subscriptions, tenants, the cloud's
// addresses, resource groups, deployments, and resource providers, each in a package of its own
// below this one. What it makes is at once what the token service and the resources go by. What
// all of it shares is in package rest.
package arm

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/authorization"
	"github.com/wiemu/wiemu/internal/resource/arm/deployments"
	"github.com/wiemu/wiemu/internal/resource/arm/keyvault"
	"github.com/wiemu/wiemu/internal/resource/arm/managedidentity"
	"github.com/wiemu/wiemu/internal/resource/arm/postgres"
	"github.com/wiemu/wiemu/internal/resource/arm/redis"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	"github.com/wiemu/wiemu/internal/resource/arm/sql"
	"github.com/wiemu/wiemu/internal/resource/arm/storage"
)

// Name is that of the resource in the table.
const Name = "arm"

// Description is Azure Resource Manager in the table of resources. The audiences are in
// the order in which it names them itself.
// Source: InvalidAuthenticationTokenAudience in many logs.
func Description() resource.Description {
	return resource.Description{
		Name: Name, Title: "Azure Resource Manager", AppID: "797f4846-ba00-4fd7-ba43-dac1f8f63013",
		Audiences: func(c cloud.Cloud) []string {
			today, older := "https://"+c.Management[0], "https://"+c.Management[1]
			return []string{older + "/", older, today + "/", today}
		},
		Hosts: func(c cloud.Cloud) []string { return c.Management },
		New: func(k resource.Kit, settings any) (resource.Service, error) {
			subscriptions, _ := settings.([]Subscription)
			return New(k, subscriptions), nil
		},
	}
}

// Subscription is one that every identity of its tenant sees.
type Subscription = rest.Subscription

// Service serves subscriptions and what is in them. It is safe for concurrent use.
type Service struct {
	*rest.Manager
	providers []rest.Provider
}

// New makes a service.
func New(k resource.Kit, subscriptions []Subscription) *Service {
	m := rest.NewManager(k, subscriptions)
	s := &Service{m, []rest.Provider{
		managedidentity.New(m), authorization.New(m), keyvault.New(m), storage.New(m), sql.New(m), postgres.New(m), redis.New(m),
	}}
	s.providers = append(s.providers, deployments.New(m, func() []rest.Provider { return s.providers }))
	made := sync.OnceValue(s.Handler) // compiling its routes costs more than all else of a lab
	m.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { made().ServeHTTP(w, r) })
	return s
}

// Handler serves both hosts.
func (s *Service) Handler() http.Handler {
	operations := append(s.subscriptionOperations(), s.groupOperations()...)
	operations = append(operations, s.providerOperations()...)
	for _, p := range s.providers {
		operations = append(operations, p.Operations...)
	}
	var routes []resource.Route
	for _, to := range operations {
		routes = append(routes, resource.Route{Methods: to.Methods, Path: to.Path, Begin: s.Begin(to)})
	}
	return s.Kit.Handler(routes, s.Begin(rest.Operation{Verb: "something else", Serve: s.unknown}))
}

// MaxBody implements resource.BodyService.
func (s *Service) MaxBody(r *http.Request) int64 {
	switch r.Method {
	case http.MethodPut, http.MethodPost, http.MethodPatch:
		if r.ContentLength < 0 && !strings.Contains(strings.ToLower(r.URL.Path), deployments.Path) {
			return rest.MaxBodyWithoutLength
		}
		return rest.MaxBody
	}
	return 0
}

// Unreadable implements resource.BodyService.
func (s *Service) Unreadable() http.Handler {
	return httppath.Fold(s.Kit.Serve(s.Begin(rest.Unreadable())))
}

// Restore implements resource.StatefulService.
func (s *Service) Restore(keep func(any) error) error {
	if err := s.Manager.Restore(keep); err != nil {
		return err
	}
	for _, p := range s.providers {
		if p.Open == nil {
			continue
		}
		if err := p.Open(); err != nil {
			return err
		}
	}
	return nil
}

// unknown is what this Resource Manager does not have: a type of a provider that it has, a
// provider that it does not have, or a path that is none of Resource Manager's.
func (s *Service) unknown(c *rest.Call) (rest.Reply, *resource.Failure) {
	var known []string
	for _, p := range s.providers {
		known = append(known, p.Namespace)
	}
	return rest.Reply{}, resource.Fail(http.StatusNotFound, "NotFound", fmt.Sprintf("%s %s is not emulated.", c.Request.Method, c.Path()),
		fmt.Sprintf("This Resource Manager has subscriptions, tenants, the cloud's endpoints, resource groups, and of the resource providers %s.", strings.Join(known, " and ")), "")
}
