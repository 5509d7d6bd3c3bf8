// resolver ADDRESS NAME [FORM...]: asks a resolver for the address of a name (A) as
// resolvers in programs do, in several forms, and looks at who answers.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_storage server, from;
static socklen_t size, from_size;
static unsigned char query[512], reply[1024];
static int query_size;

static void make(const char *name) {
	static int id = 0x1234;
	unsigned char *p = query;
	*p++ = id >> 8, *p++ = id++, *p++ = 1, *p++ = 0, *p++ = 0, *p++ = 1;
	memset(p, 0, 6);
	p += 6;
	while (*name) {
		int n = strcspn(name, ".");
		*p++ = n;
		memcpy(p, name, n);
		p += n, name += n + (name[n] == '.');
	}
	memcpy(p, "\0\0\1\0\1", 5);
	query_size = p + 5 - query;
}

static int same(void) {
	if (from_size != size || from.ss_family != server.ss_family) return 0;
	struct sockaddr_in *a = (void *)&from, *b = (void *)&server;
	struct sockaddr_in6 *a6 = (void *)&from, *b6 = (void *)&server;
	return a->sin_port == b->sin_port && (a->sin_family == AF_INET ? !memcmp(&a->sin_addr, &b->sin_addr, 4) : !memcmp(&a6->sin6_addr, &b6->sin6_addr, 16));
}

static void result(const char *form, ssize_t n, int whom) {
	char text[INET6_ADDRSTRLEN];
	printf("%s: ", form);
	if (n < 12) printf("%s", n < 0 ? strerror(errno) : "nothing");
	else if (memcmp(reply, query, 2)) printf("another id");
	else if (reply[3] & 15) printf("error %d", reply[3] & 15);
	else if (!reply[7]) printf("no address");
	else printf("%s", inet_ntop(AF_INET, reply + n - 4, text, sizeof text));
	printf("%s\n", !whom ? "" : same() ? " of the server" : " of another");
	fflush(stdout);
}

int main(int argc, char **argv) {
	struct sockaddr_in *four = (void *)&server;
	struct sockaddr_in6 *six = (void *)&server;
	if (inet_pton(AF_INET, argv[1], &four->sin_addr)) {
		four->sin_family = AF_INET, four->sin_port = htons(53), size = sizeof *four;
	} else if (inet_pton(AF_INET6, argv[1], &six->sin6_addr)) {
		six->sin6_family = AF_INET6, six->sin6_port = htons(53), size = sizeof *six;
	}
	int family = server.ss_family;
	struct sockaddr_storage to;
	ssize_t n;

	int fd = socket(family, SOCK_DGRAM, 0);
	to = server, from_size = sizeof from;
	make(argv[2]);
	sendto(fd, query, query_size, 0, (void *)&to, size);
	n = recvfrom(fd, reply, sizeof reply, 0, (void *)&from, &from_size);
	result("sendto", n, 1);

	fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	to = server, from_size = sizeof from;
	make(argv[2]);
	sendto(fd, query, query_size, 0, (void *)&to, size);
	struct pollfd p = {fd, POLLIN, 0};
	poll(&p, 1, 10000);
	n = recvfrom(fd, reply, sizeof reply, 0, (void *)&from, &from_size);
	result("non-blocking", n, 1);
	n = recvfrom(fd, reply, sizeof reply, 0, (void *)&from, &from_size);
	printf("empty: %s\n", n < 0 ? strerrorname_np(errno) : "something");

	fd = socket(family, SOCK_DGRAM, 0);
	struct timeval limit = {0, 20000};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	to = server, from_size = sizeof from;
	make(argv[2]);
	connect(fd, (void *)&to, size);
	n = recvfrom(fd, reply, sizeof reply, 0, (void *)&from, &from_size);
	printf("with a time-out: %s\n", n < 0 ? strerrorname_np(errno) : "something");
	limit.tv_sec = 10;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	from_size = sizeof from;
	send(fd, query, query_size, 0);
	n = recvfrom(fd, reply, sizeof reply, 0, (void *)&from, &from_size);
	result("connected", n, 1);

	fd = socket(family, SOCK_DGRAM, 0);
	to = server;
	make(argv[2]);
	struct iovec parts[] = {{query, 5}, {query + 5, query_size - 5}}, into[] = {{reply, 3}, {reply + 3, sizeof reply - 3}};
	struct msghdr out = {.msg_name = &to, .msg_namelen = size, .msg_iov = parts, .msg_iovlen = 2};
	sendmsg(fd, &out, 0);
	char control[64];
	struct msghdr in = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = into, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof control};
	n = recvmsg(fd, &in, 0);
	from_size = in.msg_namelen;
	result("sendmsg", n, 1);
	if (in.msg_controllen || in.msg_flags) puts("there are control data or flags");

	fd = socket(family, SOCK_DGRAM, 0);
	to = server;
	make(argv[2]);
	struct mmsghdr two[2] = {{.msg_hdr = out}, {.msg_hdr = out}};
	int sent = sendmmsg(fd, two, 2, 0);
	struct mmsghdr back[1] = {{.msg_hdr = in}};
	back[0].msg_hdr.msg_namelen = sizeof from;
	int got = recvmmsg(fd, back, 1, 0, 0);
	from_size = back[0].msg_hdr.msg_namelen;
	result("sendmmsg", back[0].msg_len, 1);
	if (sent != 2 || got != 1 || (int)two[0].msg_len != query_size || (int)two[1].msg_len != query_size) printf("sent %d and received %d\n", sent, got);

	fd = socket(family, SOCK_STREAM, 0);
	to = server;
	make(argv[2]);
	unsigned char length[2] = {query_size >> 8, query_size};
	if (connect(fd, (void *)&to, size)) {
		printf("stream: %s\n", strerror(errno));
		return 0;
	}
	if (write(fd, length, 2) != 2 || write(fd, query, query_size) != query_size || recv(fd, length, 2, MSG_WAITALL) != 2) return 1;
	n = recv(fd, reply, length[0] << 8 | length[1], MSG_WAITALL);
	result("stream", n, 0);
	return 0;
}
