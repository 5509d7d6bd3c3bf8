# The emulator alone. bin/wiemu-server is a static binary: make build-all
FROM scratch
COPY bin/wiemu-server /wiemu-server
# Volumes take over the owner of the directory that they cover.
COPY --chown=65532:65532 bin/volume /lab
COPY --chown=65532:65532 bin/volume /lab/tokens
COPY --chown=65532:65532 bin/volume /state
USER 65532:65532
# 443 without privileges wants --sysctl net.ipv4.ip_unprivileged_port_start=0, which is
# Docker's default since 20.10.
EXPOSE 443 1433 3128 5432 6380 9444 10000 11000
HEALTHCHECK --interval=1s --timeout=4s --retries=60 CMD ["/wiemu-server", "-healthy", "127.0.0.1:443"]
ENTRYPOINT ["/wiemu-server"]
