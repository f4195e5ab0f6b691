import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { parseChallenges } from '../../../src/auth/oauth/parse-challenge.js'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { modernRequest, postStateless } from '../../helpers/modern-client.js'
import { clock, readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const TOOLS = ['balance', 'transfer_money', 'transfer_shares'].map((name) => tool(name))
const STEP_UP = ['transfer_*']

let identity: Identity
let bank: RecordingTarget
let other: RecordingTarget
let modern: ModernRecordingTarget
let one: Stack
let several: Stack
let stateless: Stack
beforeAll(async () => {
  identity = await startIdentity({ clock })
  bank = await startRecordingTarget({ tools: TOOLS })
  other = await startRecordingTarget({ tools: TOOLS })
  modern = await startModernRecordingTarget({ tools: TOOLS })
  const config = { descope: { requiredScopes: ['mcp:use'] } }
  const ofBank = { url: bank.url, tools: { stepUp: STEP_UP } }
  one = await startStack({ identity, config, targets: { bank: { ...ofBank, prefix: '' } } })
  several = await startStack({
    identity,
    targets: {
      bank: { ...ofBank, tools: { stepUp: STEP_UP, scopes: { '*_shares': ['shares:write'] } } },
      other: other.url,
    },
  })
  stateless = await startStack({
    identity,
    targets: { bank: { url: modern.url, tools: { stepUp: STEP_UP } } },
  })
})
afterEach(() => {
  for (const target of [bank, other, modern]) target.clear()
})
afterAll(async () => {
  for (const { close } of [one, several, stateless, bank, other, modern, identity]) await close()
})

const bearer = async (stack: Stack, claims: object = {}) => ({
  authorization: `Bearer ${await stack.token({ ...claims })}`,
})

async function call(stack: Stack, name: string, claims?: object) {
  const message = { jsonrpc: '2.0', id: 'c', method: 'tools/call', params: { name } }
  const response = await stack.post(message, await bearer(stack, claims))
  const [challenge] = parseChallenges(response.headers.get('www-authenticate'))
  return { response, challenge, message: await readMessage(response) }
}

describe('a tool that needs a step-up', () => {
  it('is listed, and refused with the challenge of RFC 9470 until the token has the claim su', async () => {
    const list = await one.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' })
    const { result } = await readMessage(list)
    expect(result.tools.map(({ name }: { name: string }) => name)).toEqual(
      TOOLS.map(({ name }) => name),
    )
    const { response, challenge, message } = await call(one, 'transfer_money')
    expect(response.status).toBe(401)
    expect(challenge).toMatchObject({
      scheme: 'bearer',
      parameters: {
        error: 'insufficient_user_authentication',
        error_description: expect.stringContaining('step-up'),
        resource_metadata: `${one.origin.replace('127.0.0.1', 'localhost')}/.well-known/oauth-protected-resource/mcp`,
        scope: 'mcp:use',
      },
    })
    expect(message).toMatchObject({
      id: 'c',
      error: { message: expect.stringContaining('sign in again') },
    })
    expect(bank.of('tools/call')).toHaveLength(0)
    expect((await call(one, 'transfer_money', { su: true })).response.status).toBe(200)
    expect((await call(one, 'balance')).response.status).toBe(200)
    expect(bank.of('tools/call')).toHaveLength(2)
    expect(one.logs().find((line) => line['refusal'] === 'step_up')).toMatchObject({
      level: 'info',
      tool: 'transfer_money',
      status: 401,
      rule: 'tools.stepUp "transfer_*"',
    })
  })

  it.each(['true', 1, 'yes', {}, [true], null, false])(
    'is not opened by the claim su: %j',
    async (su) => {
      expect((await call(one, 'transfer_money', { su })).response.status).toBe(401)
      expect(bank.of('tools/call')).toHaveLength(0)
    },
  )

  it('is refused under every name that a lenient target could take for it', async () => {
    for (const name of ['TRANSFER_money', 'Transfer_Money', 'transfer_mönéy', 'ｔransfer_money']) {
      expect([name, (await call(one, name)).response.status]).toEqual([name, 401])
    }
    expect(bank.of('tools/call')).toHaveLength(0)
  })

  it('of one of several targets leaves the tool of that name at the others open', async () => {
    expect((await call(several, 'bank_transfer_money')).response.status).toBe(401)
    expect((await call(several, 'other_transfer_money')).response.status).toBe(200)
    expect([bank, other].map((target) => target.of('tools/call').length)).toEqual([0, 1])
  })

  it('asks for missing scopes in the same challenge, so that one sign-in brings both', async () => {
    const { response, challenge } = await call(several, 'bank_transfer_shares')
    expect(response.status).toBe(401)
    expect(challenge?.parameters['scope']?.split(' ')).toContain('shares:write')
    const steppedUp = await call(several, 'bank_transfer_shares', { su: true })
    expect(steppedUp.response.status).toBe(403)
    expect(steppedUp.challenge?.parameters['error']).toBe('insufficient_scope')
    const both = { su: true, scope: 'mcp:use shares:write' }
    expect((await call(several, 'bank_transfer_shares', both)).response.status).toBe(200)
  })

  it('is refused to clients of the stateless protocol too', async () => {
    const message = modernRequest('tools/call', { name: 'bank_transfer_money', arguments: {} })
    expect(await postStateless(stateless, message)).toMatchObject({
      status: 401,
      message: { id: 'm-1', error: { message: expect.stringContaining('step-up') } },
    })
    expect(modern.of('tools/call')).toHaveLength(0)
    const answer = await postStateless(stateless, message, await bearer(stateless, { su: true }))
    expect(answer.status).toBe(200)
    expect(modern.of('tools/call')).toHaveLength(1)
  })

  it('keeps methods from the target about which no policy could decide', async () => {
    const message = { jsonrpc: '2.0', id: 1, method: 'com.example/transfer', params: {} }
    const { error } = await readMessage(await one.post(message))
    expect(error).toMatchObject({ code: -32601 })
    expect(bank.of('com.example/transfer')).toHaveLength(0)
  })
})
