import { expect, it } from 'vitest'
import { loadConfig } from '../../../../src/config/load.js'
import { URL_DEFAULTS } from '../../../../src/usecases/run-bridge/targets.js'

it('a target that is only a URL has the defaults of the settings', () => {
  const where = { cwd: '/', homeDir: '/nowhere', platform: 'linux' as const }
  const env = { TARGET_MCP_SERVER_URL: 'https://t.example/mcp' }
  const { config } = loadConfig({ ...where, env }, { flags: {}, for: 'stdio' })
  expect(config).toMatchObject({
    targets: [{ prefix: '', tools: URL_DEFAULTS.tools }],
    timeouts: URL_DEFAULTS.timeouts,
    names: URL_DEFAULTS.names,
  })
})
