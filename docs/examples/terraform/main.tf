# An application's identity: what trusts its pods, and what it may read. See docs/trust-as-code.md.
terraform {
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.0"
    }
  }
}

provider "azurerm" {
  features {}
}

variable "cluster_issuer" {
  type        = string
  description = "URL of the cluster's issuer, to the letter"
}

variable "vault_id" {
  type        = string
  description = "resource id of the key vault that has the application's secret"
}

resource "azurerm_resource_group" "shop" {
  name     = "shop"
  location = "westeurope"
}

resource "azurerm_user_assigned_identity" "web" {
  name                = "web"
  resource_group_name = azurerm_resource_group.shop.name
  location            = azurerm_resource_group.shop.location
}

resource "azurerm_federated_identity_credential" "web" {
  name                = "cluster"
  resource_group_name = azurerm_resource_group.shop.name
  parent_id           = azurerm_user_assigned_identity.web.id
  audience            = ["api://AzureADTokenExchange"]
  issuer              = var.cluster_issuer
  subject             = "system:serviceaccount:my-radix-app-dev:web-sa"
}

resource "azurerm_role_assignment" "secret" {
  scope                = var.vault_id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.web.principal_id
  principal_type       = "ServicePrincipal"
}

output "client_id" {
  value = azurerm_user_assigned_identity.web.client_id
}
