import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createHome, startBridge } from '../../helpers/bridge.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

describe('the bridge to an open target', () => {
  let target: RecordingTarget
  let env: Record<string, string>

  beforeEach(async () => {
    target = await startRecordingTarget({ sessions: 'required' })
    env = { MCP_DESCOPE_HOME: createHome() }
  })
  afterEach(() => target.close())

  it('[bridge-transparent] [bridge-one-session] [bridge-answers-before-end] [bridge-quiet-log] passes everything on, opens one session and deletes it at the end', async () => {
    const bridge = startBridge(target.url, { env })
    const answer = await bridge.handshake()
    expect(answer['result']).toMatchObject({
      protocolVersion: '2025-06-18',
      serverInfo: target.contents.serverInfo,
    })
    const list = await bridge.request('tools/list', {}, 'a string id')
    expect(list['result']).toEqual({ tools: target.contents.tools })
    expect(await bridge.end()).toMatchObject({ status: 0 })

    const opened = target.of('initialize')
    expect(opened).toHaveLength(1)
    expect(opened[0]?.message).toMatchObject({ params: { clientInfo: { name: 'test-host' } } })
    expect(opened[0]?.headers['user-agent']).toMatch(/^mcp-descope-proxy\//)
    expect(target.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(1)
    expect(target.sessions.size).toBe(0)
    expect(bridge.stderr().trim().split('\n').length).toBeLessThanOrEqual(3)
    expect(bridge.stderr()).not.toMatch(/error/i)
  })
})
