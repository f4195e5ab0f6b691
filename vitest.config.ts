import { defineConfig } from 'vitest/config'

/** These start no servers and leave nothing behind, so files may share a process and its modules. */
const UNIT = 'test/unit/**/*.test.ts'

export default defineConfig({
  test: {
    globalSetup: ['test/helpers/global-setup.ts'],
    setupFiles: ['test/helpers/ready-keys.ts'],
    restoreMocks: true,
    unstubEnvs: true,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
    // A loaded machine may lose a race once. What fails twice fails, and the report names the rest.
    retry: 1,
    projects: [
      { extends: true, test: { name: 'unit', include: [UNIT], isolate: false } },
      { extends: true, test: { name: 'whole', include: ['test/**/*.test.ts'], exclude: [UNIT] } },
    ],
  },
})
