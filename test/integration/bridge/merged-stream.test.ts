import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type BridgeProcess, createHome, startBridge, textOf } from '../../helpers/bridge.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

describe('what several targets send by themselves', () => {
  let docs: RecordingTarget
  let git: RecordingTarget
  let bridge: BridgeProcess

  beforeEach(async () => {
    docs = await startRecordingTarget({
      sessions: 'required',
      listChanged: true,
      sse: { eventIds: true },
    })
    git = await startRecordingTarget({ sessions: 'required', listChanged: true })
    const home = createHome()
    mkdirSync(home, { recursive: true, mode: 0o700 })
    const targets = { docs: { url: docs.url }, git: { url: git.url } }
    writeFileSync(join(home, 'config.json'), JSON.stringify({ targets }))
    bridge = startBridge(undefined, { env: { MCP_DESCOPE_HOME: home } })
    const answer = await bridge.handshake()
    expect(answer).toHaveProperty('result.capabilities.tools.listChanged', true)
    for (const target of [docs, git]) {
      await eventually(() => expect(target.getStreams()).toHaveLength(1))
    }
  })
  afterEach(async () => {
    bridge.child.kill('SIGKILL')
    await docs.close()
    await git.close()
  })

  it('reaches the host from each of them', async () => {
    for (const [at, target] of [docs, git].entries()) {
      await target.notify('notifications/tools/list_changed')
      await eventually(() =>
        expect(bridge.received('notifications/tools/list_changed')).toHaveLength(at + 1),
      )
    }
    expect(await bridge.end()).toMatchObject({ status: 0 })
    expect(docs.sessions.size + git.sessions.size).toBe(0)
  })

  it('has its answers taken back to the one that asked', async () => {
    const asked = [docs.ask('roots/list'), git.ask('roots/list')]
    await eventually(() => expect(bridge.received('roots/list')).toHaveLength(2))
    const ids = bridge.received('roots/list').map(({ id }) => id)
    expect(new Set(ids).size).toBe(2)
    for (const [at, id] of ids.entries()) {
      bridge.send({ id: id as string, result: { roots: [{ uri: `file:///${at}` }] } })
    }
    const roots = (await Promise.all(asked)).map((answer) => JSON.stringify(answer))
    expect(new Set(roots).size).toBe(2)
    await bridge.end()
  })

  it('[bridge-reopens-stream] comes again after the stream of one of them ended, and the other goes on', async () => {
    for (const stream of docs.getStreams()) await stream.disconnect()
    await git.notify('notifications/message', { level: 'info', data: 'from git' })
    await bridge.until(({ method }) => method === 'notifications/message')
    await eventually(() => expect(docs.getStreams()).toHaveLength(1))
    await docs.notify('notifications/message', { level: 'info', data: 'from docs' })
    await eventually(() => expect(bridge.received('notifications/message')).toHaveLength(2))
    expect(textOf(await bridge.call('docs_echo', { n: 1 }))).toContain('"n":1')
    await bridge.end()
  })
})
