import { afterEach, describe, expect, it } from 'vitest'
import {
  type Identity,
  type IdentityInput,
  startIdentity,
} from '../../../src/demo/identity/index.js'
import { createClock } from '../../../src/util/async.js'
import { createDesk, type Resource, startResource } from '../../helpers/sign-in.js'

describe('signing in with a code at Descope', () => {
  let identity: Identity
  let resource: Resource

  const begin = async (options: IdentityInput, more = {}) => {
    identity = await startIdentity({ clock: createClock(), deviceInterval: 0.2, ...options })
    resource = await startResource(identity.issuer)
    return createDesk({
      target: { grant: { kind: 'server', url: resource.url } },
      env: { SSH_CONNECTION: '10.0.0.1' },
      ...more,
    })
  }
  afterEach(async () => {
    await resource.close()
    await identity.close()
  })
  type Desk = Awaited<ReturnType<typeof begin>>
  const codeOf = ({ signIn }: Desk) =>
    signIn.state.phase === 'waiting' ? signIn.state.userCode : undefined
  const untilCode = async (desk: Desk): Promise<string> => {
    await expect.poll(() => codeOf(desk), { timeout: 5_000 }).toMatch(/^[A-Z]{3}-[A-Z]{3}$/)
    return codeOf(desk) ?? ''
  }

  it.each([400, 200] as const)(
    '[bridge-device-codes] reads the body before the status %i of a poll',
    async (devicePollStatus) => {
      const desk = await begin({ device: true, devicePollStatus })
      const running = desk.signIn.ensure({ interactive: 'offer' })
      const code = await untilCode(desk)
      await expect.poll(() => identity.counters.devicePolls, { timeout: 5_000 }).toBeGreaterThan(1)
      expect(identity.approveDevice(code)).toBe(true)
      expect((await running).accessToken).not.toBe('')
      expect(desk.tabs).toEqual([])
    },
  )

  it('[bridge-sign-in-method] says why a code is used', async () => {
    const desk = await begin({ device: true })
    const running = desk.signIn.ensure({ interactive: 'offer' })
    const code = await untilCode(desk)
    expect(desk.signIn.state).toMatchObject({ note: expect.stringContaining('SSH session') })
    identity.approveDevice(code)
    await running
  })

  it('polls on through failures of the network', async () => {
    const desk = await begin({ device: true })
    const running = desk.signIn.ensure({ interactive: 'offer' })
    const code = await untilCode(desk)
    identity.set({
      fail: [
        { path: '/token', status: 0 },
        { path: '/token', status: 503 },
      ],
    })
    identity.approveDevice(code)
    expect((await running).accessToken).not.toBe('')
  })

  it('ends when the user declines', async () => {
    const desk = await begin({ device: true })
    const running = desk.signIn.ensure({ interactive: 'offer' })
    const refused = expect(running).rejects.toMatchObject({ code: 'SIGN_IN_FAILED' })
    identity.denyDevice(await untilCode(desk))
    await refused
  })

  it('[bridge-device-codes] gets a new code by itself when one expires', async () => {
    const desk = await begin({ device: true, deviceTtl: 1 }, { options: { deviceRenewals: 1 } })
    const running = desk.signIn.ensure({ interactive: 'offer' })
    const first = await untilCode(desk)
    await expect.poll(() => codeOf(desk), { timeout: 5_000 }).not.toBe(first)
    identity.approveDevice(await untilCode(desk))
    expect((await running).accessToken).not.toBe('')
  })

  it('says that a code expired when it may not get another one', async () => {
    const desk = await begin({ device: true, deviceTtl: 1 })
    await expect(desk.signIn.ensure({ interactive: 'offer' })).rejects.toMatchObject({
      message: 'The code expired before it was entered',
    })
  })

  it('[bridge-device-codes] names the switch in the console when the server offers no codes', async () => {
    const desk = await begin({ device: false }, { options: { method: 'device' } })
    await expect(desk.signIn.ensure({ interactive: 'offer' })).rejects.toMatchObject({
      hint: expect.stringContaining('Device Authentication'),
    })
  })

  it('[bridge-sign-in-method] [bridge-paste] falls back to a URL to paste when there is neither browser nor code', async () => {
    const pastes: ((text: string) => void)[] = []
    const onPaste = (listener: (text: string) => void) => {
      pastes.push(listener)
      return () => {}
    }
    const desk = await begin({ device: false }, { options: { onPaste } })
    const running = desk.signIn.ensure({ interactive: 'offer' })
    await expect
      .poll(() => desk.signIn.state, { timeout: 5_000 })
      .toMatchObject({ method: 'paste' })
    const { state } = desk.signIn
    expect(state).toMatchObject({ note: expect.stringContaining('Device Authentication') })
    const url = state.phase === 'waiting' ? state.url : ''
    const redirect = await fetch(url, { redirect: 'manual' })
    pastes[0]?.('http://127.0.0.1:28682/callback?code=x&state=wrong')
    pastes[0]?.(redirect.headers.get('location') ?? '')
    expect((await running).accessToken).not.toBe('')
  })

  it('goes on polling for a code that another process showed', async () => {
    const first = await begin({ device: true })
    const stop = new AbortController()
    const left = first.signIn.ensure({ interactive: 'offer', signal: stop.signal })
    const ended = expect(left).rejects.toMatchObject({ code: 'INTERRUPTED' })
    const code = await untilCode(first)
    stop.abort()
    await ended
    const second = createDesk({
      folder: first.folder,
      target: { grant: { kind: 'server', url: resource.url } },
      env: { SSH_CONNECTION: '10.0.0.1' },
    })
    const running = second.signIn.ensure({ interactive: 'offer' })
    expect(await untilCode(second)).toBe(code)
    identity.approveDevice(code)
    expect((await running).accessToken).not.toBe('')
    expect(identity.counters.deviceRequests).toBe(1)
  })
})
