package lab

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/entra"
	"github.com/wiemu/wiemu/internal/serviceconnection"
)

// hasConnections reports whether the configuration has service connections of Azure DevOps whose
// tokens an issuer signs; "" is any, Entra ID included.
func (l *Lab) hasConnections(issuer string) bool {
	return slices.ContainsFunc(l.config.Workloads, func(w config.Workload) bool {
		c := w.ServiceConnection
		return serviceconnection.Is(c) && (issuer == "" || w.Issuer == issuer && !serviceconnection.OfEntra(c))
	})
}

// NewTask admits a task of Azure Pipelines with a service connection, whose tokens Entra ID signs
// or else a hosted issuer. It returns what the task asks with.
func (l *Lab) NewTask(c config.ServiceConnection, tenant, issuerName string) (serviceconnection.Access, error) {
	if serviceconnection.OfEntra(c) && l.connections != nil {
		l.faults.NameSubject(c.Subject, serviceconnection.Workload(c))
		return l.connections.Add(c, func(ctx context.Context) (string, error) {
			return l.entra.SignConnection(ctx, entra.Connection{Tenant: tenant, Workload: serviceconnection.Workload(c), Subject: c.Subject})
		}), nil
	}
	from, err := l.Issuer(issuerName)
	if err != nil {
		return serviceconnection.Access{}, err
	}
	if l.connections == nil || !l.hasConnections(from.Name()) {
		return serviceconnection.Access{}, &control.StatusError{Status: http.StatusBadRequest, Field: "serviceConnection", Err: fmt.Errorf("service connection %s: expected a lab whose wiemu.yaml has a workload with serviceConnection and issuer %s; start it with the file that declares this connection", c.Name, from.Name())}
	}
	l.faults.NameSubject(c.Subject, serviceconnection.Workload(c))
	return l.connections.Add(c, serviceconnection.ByAzureDevOps(c, l.cloud.TokenExchange, from)), nil
}
