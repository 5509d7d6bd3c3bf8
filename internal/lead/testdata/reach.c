// reach ADDRESS PORT...: begins connections, by TCP and UDP, and says what became of them.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *become(int family, int kind, void *a, socklen_t size) {
	int fd = socket(family, kind | SOCK_NONBLOCK, 0);
	if (fd < 0 || !connect(fd, a, size)) return fd < 0 ? "no socket" : "connected";
	const char *name = strerrorname_np(errno);
	close(fd);
	return name;
}

int main(int argc, char **argv) {
	for (int i = 1; i + 1 < argc; i += 2) {
		struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[i + 1]))};
		struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = four.sin_port};
		struct sockaddr_un un = {.sun_family = AF_UNIX};
		if (argv[i][0] == '/') {
			strncpy(un.sun_path, argv[i], sizeof un.sun_path - 1);
			printf("%s: %s\n", argv[i], become(AF_UNIX, SOCK_STREAM, &un, sizeof un));
			continue;
		}
		void *a = &four;
		socklen_t size = sizeof four;
		if (!inet_pton(AF_INET, argv[i], &four.sin_addr)) {
			inet_pton(AF_INET6, argv[i], &six.sin6_addr);
			a = &six, size = sizeof six;
		}
		int family = *(sa_family_t *)a;
		printf("%s %s: TCP %s\n", argv[i], argv[i + 1], become(family, SOCK_STREAM, a, size));
		if (atoi(argv[i + 1]) == 443) printf("%s %s: UDP %s\n", argv[i], argv[i + 1], become(family, SOCK_DGRAM, a, size));
	}
	return 0;
}
