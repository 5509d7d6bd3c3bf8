// Package tds speaks the server's side of the Tabular Data Stream protocol, versions 7.4
// and 8.0 (MS-TDS), and the client's side of a login at a SQL Server. A caller makes a
// [Server] with what decides on logins and gives it connections. The package knows packets,
// tokens and types; who may log in and what SQL means is decided elsewhere: see packages
// sql and answers.
//
// Section numbers in comments are those of MS-TDS, learn.microsoft.com/openspecs/windows_protocols/ms-tds.
package tds
