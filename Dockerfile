# syntax=docker/dockerfile:1
# Debian in both stages: better-sqlite3 is built against the C library that it runs on.

FROM node:20.20.2-bookworm-slim AS build
WORKDIR /build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 make g++ \
 && rm -rf /var/lib/apt/lists/*
COPY package.json package-lock.json .npmrc ./
# No package may run scripts but the one that has to be built.
RUN npm ci --ignore-scripts && npm rebuild better-sqlite3
COPY tsconfig.json tsconfig.build.json ./
COPY core core
COPY schemas schemas
COPY connectors connectors
COPY services services
COPY cli cli
RUN npx --no-install tsc -p tsconfig.build.json && npm prune --omit=dev --omit=optional --ignore-scripts

FROM node:20.20.2-bookworm-slim
LABEL org.opencontainers.image.title="tailrace" \
      org.opencontainers.image.description="Streaming change data capture from a live SQLite database to PostgreSQL" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
# The settings file is mounted at /pipeline/tailrace.yaml, state lies in /pipeline/.tailrace.
RUN mkdir -p /pipeline/.tailrace && chown -R 65532:65532 /pipeline
USER 65532:65532
WORKDIR /pipeline
# Liveness never asks a dependency: /health answers while the process does.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8731/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Exec form: SIGTERM reaches the command itself, which finishes the transaction in hand and exits 0. Run with `--init`.
ENTRYPOINT ["node", "/app/dist/cli/tailrace.js"]
CMD ["run"]
