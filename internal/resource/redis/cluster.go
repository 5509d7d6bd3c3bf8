package redis

import (
	"fmt"
	"strings"
)

// cluster answers what clients with cluster mode ask of a cache in memory, which is a cluster of one
// node; ok is false if it is something else. The engine does not know the cache's host.
// Source: redis.io, CLUSTER SLOTS, CLUSTER NODES, CLUSTER KEYSLOT.
func (n *session) cluster(args []string) (reply []byte, ok bool) {
	if n.cache.memory == nil || n.multi || len(args) < 2 {
		return nil, false
	}
	node := fmt.Sprintf("%x%x", n.host, strings.Repeat(" ", 20))[:40]
	switch sub := strings.ToLower(args[1]); {
	case sub == "slots" && len(args) == 2:
		return fmt.Appendf(nil, "*1\r\n*3\r\n:0\r\n:%d\r\n*3\r\n$%d\r\n%s\r\n:%d\r\n$40\r\n%s\r\n", slots-1, len(n.host), n.host, n.port(), node), true
	case sub == "nodes" && len(args) == 2:
		text := fmt.Sprintf("%s %s:%d@%d myself,master - 0 0 1 connected 0-%d\n", node, n.host, n.port(), n.port(), slots-1)
		return fmt.Appendf(nil, "$%d\r\n%s\r\n", len(text), text), true
	case sub == "keyslot" && len(args) == 3:
		return fmt.Appendf(nil, ":%d\r\n", slot(args[2])), true
	case sub == "shards": // of Redis 7; clients ask for slots then
		return []byte("-ERR unknown subcommand '" + oneLine.Replace(args[1][:6]) + "'. Try CLUSTER HELP.\r\n"), true
	}
	return nil, false
}

// port is where clients reach the cache.
func (n *session) port() uint16 {
	if n.cache.Region == "" {
		return CachePort
	}
	return ManagedPort
}
