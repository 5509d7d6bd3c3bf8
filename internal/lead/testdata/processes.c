// processes NAME: connects in processes and threads of every kind, and counts those that
// were not served.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static struct sockaddr_in to;

static int go(void) {
	struct sockaddr_in a = to;
	char text[64];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int failed = connect(fd, (void *)&a, sizeof a) || read(fd, text, sizeof text) <= 0;
	close(fd);
	return failed;
}

static void *loop(void *failed) {
	for (int i = 0; i < 20; i++) *(int *)failed += go();
	return 0;
}

/* A thread with files of its own. */
static void *alone(void *failed) {
	if (unshare(CLONE_FILES)) *(int *)failed = 1;
	for (int i = 0; i < 5; i++) close(i + 3);
	return loop(failed);
}

static int ended(void) {
	int status;
	wait(&status);
	return status != 0;
}

int main(int argc, char **argv) {
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *all;
	if (argc < 2 || getaddrinfo(argv[1], "443", &hints, &all)) return 2;
	to = *(struct sockaddr_in *)all->ai_addr;
	if (argc > 2) return go();
	int forks = 0, grandchildren = 0, spawned = 0, vforks = 0, execs = 0;
	for (int i = 0; i < 8; i++) {
		if (!fork()) _exit(go());
		forks += ended();
		if (!fork()) {
			if (!fork()) _exit(go());
			_exit(ended());
		}
		grandchildren += ended();
		char *args[] = {argv[0], argv[1], "once", 0};
		pid_t pid;
		posix_spawn(&pid, argv[0], 0, 0, args, environ);
		spawned += ended();
		if (!vfork()) {
			execv(argv[0], args);
			_exit(1);
		}
		vforks += ended();
		if (!fork()) {
			char *chain[] = {"sh", "-c", "exec \"$0\" \"$1\" once", argv[0], argv[1], 0};
			execvp("sh", chain);
		}
		execs += ended();
	}
	pthread_t t[24];
	int failed[24] = {0}, threads = 0;
	for (int i = 0; i < 24; i++) pthread_create(t + i, 0, i ? loop : alone, failed + i);
	for (int i = 0; i < 24; i++) {
		pthread_join(t[i], 0);
		threads += failed[i];
	}
	printf("forks %d, grandchildren %d, spawned %d, vforks %d, execs %d, threads %d\n", forks, grandchildren, spawned, vforks, execs, threads);
	return 0;
}
