package session

import (
	"strings"

	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/serviceconnection"
	"github.com/wiemu/wiemu/internal/workload"
)

// TaskAccess says how a task of Azure Pipelines gets the token of its service connection, and to
// which subscription it deploys.
type TaskAccess struct {
	serviceconnection.Access
	Subscription string `json:"subscription,omitempty"` // the first of the connection's tenant; "": there is none
}

// admitTask admits a workload that is a task with a service connection: it has an endpoint
// instead of a token file.
func (l *Session) admitTask(w *Workload, d workload.Spec, tenant string, from *issuer.Issuer) (*Workload, error) {
	access, err := l.emulator.NewTask(d.ServiceConnection, tenant, d.Issuer)
	if err != nil {
		return nil, err
	}
	w.Env = l.environment(w, tenant)
	w.Env.Task = &TaskAccess{Access: access, Subscription: l.subscriptionOf(tenant)}
	return w, l.admit(w, d, from)
}

// environ returns the variables of a task of AzureCLI@2 with addSpnToEnvironment, to which its
// author has mapped SYSTEM_ACCESSTOKEN, and those of Terraform's providers azurerm, azuread and azapi.
// Source: learn.microsoft.com, azure/devops/release-notes/2024/pipelines/sprint-240-update;
// azure/devops/pipelines/build/variables; hashicorp/terraform-provider-azuread,
// docs/guides/service_principal_oidc.md.
func (t TaskAccess) environ(clientID, tenant string) []string {
	env := []string{
		"TF_BUILD=True", "SYSTEM_HOSTTYPE=build", "SYSTEM_OIDCREQUESTURI=" + t.URL, "SYSTEM_ACCESSTOKEN=" + t.Token,
		"AZURESUBSCRIPTION_SERVICE_CONNECTION_ID=" + t.ID, "AZURESUBSCRIPTION_TENANT_ID=" + tenant, "tenantId=" + tenant,
		"ARM_OIDC_REQUEST_URL=" + t.URL, "ARM_OIDC_REQUEST_TOKEN=" + t.Token,
		"ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID=" + t.ID, "ARM_OIDC_AZURE_SERVICE_CONNECTION_ID=" + t.ID,
		"ARM_USE_OIDC=true", "ARM_TENANT_ID=" + tenant,
	}
	// The URL is COLLECTION/PROJECT/_apis/distributedtask/hubs/build/plans/PLAN/jobs/JOB/oidctoken,
	// which older clients put together themselves.
	parts := strings.Split(strings.TrimPrefix(t.URL, "https://"), "/")
	if len(parts) == 12 {
		env = append(env, "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI=https://"+parts[0]+"/"+parts[1]+"/", "SYSTEM_COLLECTIONURI=https://"+parts[0]+"/"+parts[1]+"/",
			"SYSTEM_TEAMPROJECTID="+parts[2], "SYSTEM_PLANID="+parts[8], "SYSTEM_JOBID="+parts[10])
	}
	if clientID != "" {
		env = append(env, "AZURESUBSCRIPTION_CLIENT_ID="+clientID, "servicePrincipalId="+clientID, "ARM_CLIENT_ID="+clientID)
	}
	if t.Subscription != "" {
		env = append(env, "ARM_SUBSCRIPTION_ID="+t.Subscription)
	}
	return env
}
