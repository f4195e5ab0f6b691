import { expect, it } from 'vitest'
import { CLIENT, createHome, startBridge } from '../../helpers/bridge.js'
import { startModernRecordingTarget } from '../../helpers/targets/modern.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'
import { startSseTarget } from '../../helpers/targets/sse-v1.js'

it.each([
  { over: 'Streamable HTTP', open: startRecordingTarget, args: [] },
  {
    over: 'MCP 2026-07-28',
    open: startModernRecordingTarget,
    args: ['--protocol', '2026-07-28'],
  },
  { over: 'HTTP+SSE', open: startSseTarget, args: ['--transport', 'sse'] },
])(
  'a token that no header can hold fails each initialize over $over, and nothing else',
  async ({ open, args }) => {
    const target = await open()
    const env = { MCP_DESCOPE_HOME: createHome(), MCP_DESCOPE_TOKEN: 'secret\npart-€', CI: 'true' }
    const bridge = startBridge(target.url, { env, args: [...args, '--log-level', 'debug'] })
    for (let turn = 0; turn < 2; turn++) {
      const { error } = await bridge.request('initialize', CLIENT)
      expect(error).toMatchObject({
        message: expect.stringMatching(/cannot be sent: .*"authorization".* \(ERR_INVALID_CHAR\)/),
      })
      expect(error).toHaveProperty('data.cause', 'http_status')
    }
    const { status, stderr, stdout } = await bridge.end()
    expect(status).toBe(0)
    for (const text of [stderr, stdout]) expect(text).not.toMatch(/secret|part-/)
    expect(target.requests).toEqual([])
    await target.close()
  },
)
