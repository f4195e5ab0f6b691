import type { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { describe, expect, it, vi } from 'vitest'
import { createTargetSessions } from '../../../../src/demo/target/sessions.js'
import { createManualClock } from '../../../helpers/runtime.js'

describe('createSessions', () => {
  const fake = () => ({ close: vi.fn(async () => {}) }) as unknown as StreamableHTTPServerTransport

  it('closes what was not used for the whole time, and nothing else', async () => {
    const clock = createManualClock()
    const sessions = createTargetSessions({ clock, max: 10, idleMs: 1_000 })
    const [old, used, busy] = [fake(), fake(), fake()]
    sessions.add('old', old)
    sessions.add('used', used)
    sessions.add('busy', busy)
    const release = sessions.hold('busy')
    await clock.advance(600)
    expect(sessions.use('used')).toBe(used)
    await clock.advance(500)
    expect(old.close).toHaveBeenCalled()
    expect(sessions.use('old')).toBeUndefined()
    expect(sessions.size).toBe(2)
    release()
    await clock.advance(3_000)
    expect(sessions.size).toBe(0)
    expect(clock.pending).toBe(0)
  })

  it('makes room by closing the idle session that was unused longest', async () => {
    const clock = createManualClock()
    const sessions = createTargetSessions({ clock, max: 2, idleMs: 1_000 })
    const [first, second, third] = [fake(), fake(), fake()]
    sessions.add('first', first)
    sessions.hold('first')
    await clock.advance(1)
    sessions.add('second', second)
    await clock.advance(1)
    sessions.add('third', third)
    expect(second.close).toHaveBeenCalled()
    expect(first.close).not.toHaveBeenCalled()
  })

  it('closes all of them at the end and leaves no timer', async () => {
    const clock = createManualClock()
    const sessions = createTargetSessions({ clock, max: 2, idleMs: 1_000 })
    const only = fake()
    sessions.add('only', only)
    await sessions.close()
    expect(only.close).toHaveBeenCalled()
    expect(clock.pending).toBe(0)
  })
})
