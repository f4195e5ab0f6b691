import {
  ElicitationCompleteNotificationSchema,
  ElicitRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { describe, expect, it } from 'vitest'
import { textOf } from '../../helpers/bridge.js'
import { useBridgeUser } from '../../helpers/bridge-user.js'

const CREATE = 'elicitation/create'

const COMPLETE = 'notifications/elicitation/complete'

describe('a host that can show URLs', () => {
  const user = useBridgeUser({ sessions: 'required', visits: false })

  const start = async (elicitation: object | undefined, args: string[] = []) => {
    const bridge = user.startBridge(args)
    await bridge.handshake({
      protocolVersion: '2025-11-25',
      capabilities: elicitation === undefined ? {} : { elicitation },
    })
    return bridge
  }
  const isPrompt = ({ method }: { [name: string]: unknown }) => method === CREATE

  it('[bridge-shows-sign-in] shows the link to who waits for a call, once, and goes on by itself', async () => {
    const bridge = await start({ form: {}, url: {} })
    const calls = [1, 2].map((n) => bridge.call('echo', { n }))
    const prompt = await bridge.until(isPrompt)
    const { params } = ElicitRequestSchema.parse(prompt) as unknown as {
      params: Record<string, string>
    }
    expect(params).toMatchObject({ mode: 'url', message: expect.stringContaining('Sign in to') })
    bridge.send({ id: prompt['id'], result: { action: 'accept' } })
    await fetch(params['url'] as string)
    for (const [at, call] of calls.entries()) {
      expect(textOf(await call)).toContain(`"n":${at + 1}`)
    }
    expect(bridge.received(CREATE)).toHaveLength(1)
    const [complete] = bridge.received(COMPLETE)
    expect(ElicitationCompleteNotificationSchema.parse(complete).params.elicitationId).toBe(
      params['elicitationId'],
    )
    // the answer was for us
    expect(user.target.requests.some(({ body }) => body.includes('accept'))).toBe(false)
    await bridge.end()
  })

  it.each(['decline', 'cancel'])(
    '[bridge-shows-sign-in] takes "%s" for an answer to the calls that wait',
    async (action) => {
      // without an answer the call would wait longer than a test may
      const bridge = await start({ url: {} }, ['--login-wait', '60'])
      const call = bridge.call('echo')
      const prompt = await bridge.until(isPrompt)
      bridge.send({ id: prompt['id'], result: { action } })
      expect((await call)['result']).toMatchObject({ isError: true })
      const [url] = await bridge.waitFor('stderr', /http:\S+authorize\?\S+/)
      await fetch(url)
      await bridge.until(({ method }) => method === 'notifications/tools/list_changed')
      expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
      await bridge.end()
    },
  )

  it('[bridge-shows-sign-in] shows the code where a code is used', async () => {
    user.identity.set({ device: true, deviceInterval: 0.2 })
    const bridge = await start({ url: {} }, ['--login', 'device'])
    const call = bridge.call('echo', { n: 1 })
    const prompt = await bridge.until(isPrompt)
    const { url, message } = prompt['params'] as Record<string, string>
    expect(message).toMatch(/enter the code [A-Z]{3}-[A-Z]{3}/)
    await fetch(url as string)
    expect(textOf(await call)).toContain('"n":1')
    await bridge.end()
  })

  it.each([[undefined], [{}], [{ form: {} }]])(
    '[bridge-shows-sign-in] is asked nothing when it declared %j',
    async (elicitation) => {
      const bridge = await start(elicitation, ['--login-wait', '1'])
      expect((await bridge.call('echo'))['result']).toMatchObject({ isError: true })
      await bridge.end()
      expect(bridge.received(CREATE)).toEqual([])
      expect(bridge.received(COMPLETE)).toEqual([])
    },
  )
})
