// Package aadsts is the catalogue of Entra ID's refusals: for every AADSTS code
// the OAuth error, the HTTP status and the exact text that a client gets, and,
// for the journal, what it means and what to change. It decides nothing; see
// entra.
//
// The catalogue is data ([Catalogue], [Lookup]). A refusal is made by the
// constructor of its case, which fills the text; [Error.Reply] is its JSON.
//
// Where the texts come from: replies recorded from Entra ID, error reports, the
// error code reference (MicrosoftDocs/entra-docs,
// docs/identity-platform/reference-error-codes.md) and client sources. Each
// entry names its source and how sure it is.
package aadsts
