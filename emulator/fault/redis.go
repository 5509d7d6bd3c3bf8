package fault

import "github.com/wiemu/wiemu/internal/faultkind"

// redis are faults of Azure Cache for Redis and Azure Managed Redis, besides those of all
// resources: server-error is LOADING there, throttled "max number of clients reached".
func redis() []Kind {
	selects := []string{selectClient, selectResource}
	return []Kind{
		{
			Name: faultkind.RedisMoved, Point: faultkind.AtRedisCommand, Selects: selects,
			Summary: "a cache says that a key is on another node",
			Description: "A command that names a key is answered by MOVED, its slot and the cache's own host and port, as a cluster does whose client has not looked where keys are. " +
				"A cluster client asks again where keys are, and then there; one that is none reports the error, as after a move from Azure Cache for Redis to Azure Managed Redis with its OSS cluster policy. A real cluster names the address and port of the node. " +
				"Source: redis/node-redis#3256, django/channels_redis#420, redis/ioredis#1587; Redis's cluster specification.",
			Example: "redis-moved --for resource=redis --count 1",
		},
		{
			Name: faultkind.RedisConnectionEnded, Point: faultkind.AtRedisCommand, Selects: selects,
			Summary: "a cache ends an open connection at its next command",
			Description: "Before its token has expired, without an answer, as when a node fails over for maintenance or scaling. Clients see the end of the stream, and have to connect and log in again: with a token that is still valid, which a program that has kept its first one does not have. " +
				"Source: azure-docs, azure-cache-for-redis/cache-failover.md.",
			Example: "redis-connection-ended --for resource=redis --count 1",
		},
	}
}
