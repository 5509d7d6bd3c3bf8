// datagrams ADDRESS PORT …: sends a datagram to each, by sendto, by sendmsg, and on a socket that
// is connected before, and says what came of it.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void say(char **to, const char *how, ssize_t result) {
	printf("%s %s %s: %s\n", to[0], to[1], how, result < 0 && errno == ECONNREFUSED ? "refused" : "went on");
}

int main(int argc, char **argv) {
	for (char **to = argv + 1; to + 1 < argv + argc; to += 2) {
		struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(to[1]))};
		inet_pton(AF_INET, to[0], &at.sin_addr);
		int fd = socket(AF_INET, SOCK_DGRAM, 0);
		say(to, "sendto", sendto(fd, "x", 1, 0, (struct sockaddr *)&at, sizeof at));
		struct iovec data = {.iov_base = "x", .iov_len = 1};
		struct msghdr m = {.msg_name = &at, .msg_namelen = sizeof at, .msg_iov = &data, .msg_iovlen = 1};
		say(to, "sendmsg", sendmsg(fd, &m, 0));
		say(to, "connect", connect(fd, (struct sockaddr *)&at, sizeof at));
	}
	return 0;
}
