package workload

import "strings"

// writeTerraform writes a configuration that finds out by itself what a client
// id belongs to, as writeAzureCLI does.
func writeTerraform(p printer, rows []TrustRow) {
	p.remark("For a module of its own; elsewhere leave out the terraform block if there is one already.")
	p.line(`
terraform {
  required_providers {
    azuread = {
      source  = "hashicorp/azuread"
      version = ">= 3.0"
    }
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 5.0"
    }
  }
}`)
	for _, id := range clientIDs(rows) {
		p.line("")
		p.remark("An app registration or a user-assigned managed identity: the directory says which.")
		p.line("data \"azuread_service_principal\" %s {", hclQuote(symbol("client", id)))
		p.line("  client_id = %s", hclQuote(id))
		p.line("}")
		p.line("")
		p.line("locals {")
		p.line("  %s = one([", symbol("identity", id))
		p.line("    for name in data.azuread_service_principal.%s.alternative_names :", symbol("client", id))
		p.line("    replace(name, \"/(?i)/resourcegroups//\", \"/resourceGroups/\") # azurerm is particular about it")
		p.line("    if strcontains(lower(name), \"/userassignedidentities/\")")
		p.line("  ])")
		p.line("}")
		p.line("")
		p.line("data \"azuread_application\" %s {", hclQuote(symbol("client", id)))
		p.line("  count     = local.%s == null ? 1 : 0", symbol("identity", id))
		p.line("  client_id = %s", hclQuote(id))
		p.line("}")
	}
	previous := map[string]string{} // Azure refuses to write two credentials of an identity at once
	for _, row := range rows {
		name, identity := credentialSymbol(row), symbol("identity", row.ClientID)
		p.title(row)
		p.line("resource \"azurerm_federated_identity_credential\" %s {", hclQuote(name))
		p.line("  count                     = local.%s == null ? 0 : 1", identity)
		p.line("  name                      = %s", hclQuote(row.Name))
		p.line("  user_assigned_identity_id = local.%s", identity)
		p.line("  issuer                    = %s", hclQuote(row.Issuer))
		p.line("  subject                   = %s", hclQuote(row.Subject))
		p.line("  audience                  = [%s]", hclQuote(row.Audience))
		if before := previous[row.ClientID]; before != "" {
			p.line("  depends_on                = [azurerm_federated_identity_credential.%s]", before)
		}
		p.line("}")
		p.line("")
		p.line("resource \"azuread_application_federated_identity_credential\" %s {", hclQuote(name))
		p.line("  count          = local.%s == null ? 1 : 0", identity)
		p.line("  application_id = data.azuread_application.%s[0].id", symbol("client", row.ClientID))
		p.line("  display_name   = %s", hclQuote(row.Name))
		p.line("  issuer         = %s", hclQuote(row.Issuer))
		p.line("  subject        = %s", hclQuote(row.Subject))
		p.line("  audiences      = [%s]", hclQuote(row.Audience))
		p.line("}")
		previous[row.ClientID] = name
	}
}

// hclQuote makes a string literal of Terraform's language.
func hclQuote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", "$${", "%{", "%%{").Replace(text) + `"`
}
