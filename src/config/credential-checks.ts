import { isObject } from '../util/json.js'
import { connectToolOf, createGlobMatcher } from '../util/text.js'
import type { Resolution } from './resolve.js'
import type { CredentialConfig } from './target-types.js'

type CredentialType = CredentialConfig['type']

/** What each type of credential needs and takes. */
const CREDENTIAL_MEMBERS: Readonly<
  Record<CredentialType, { needs: readonly string[]; takes: readonly string[] }>
> = {
  none: { needs: [], takes: [] },
  bearer: { needs: ['token'], takes: [] },
  header: { needs: ['name', 'value'], takes: [] },
  'client-credentials': {
    needs: ['clientId'],
    takes: ['clientSecret', 'clientKey', 'tokenUrl', 'scope'],
  },
  'token-exchange': {
    needs: [],
    takes: ['clientId', 'clientSecret', 'clientKey', 'tokenUrl', 'scope', 'resource', 'audience'],
  },
  connection: { needs: ['app'], takes: ['by', 'tenant', 'scopes', 'header', 'managementKey'] },
}

/** Adds a problem for each member that a credential lacks, and for each that its type does not take. */
export function checkCredential(target: string, resolution: Resolution): void {
  const { values, raws, invalid, problems } = resolution
  const start = `targets.${target}.credential.`
  const type = values.get(`${start}type`)
  if (type === undefined || invalid.has(`${start}type`)) return
  const given = [...values]
    .filter(([key, { from }]) => key.startsWith(start) && from !== 'default')
    .map(([key, { from }]) => ({ member: key.slice(start.length), from }))
  if (raws.get(`${start}type`)?.length === 0) {
    const [first] = given
    if (first) {
      problems.push(
        `${start}type is missing (${first.from}) — write one of ${Object.keys(CREDENTIAL_MEMBERS).join(', ')}`,
      )
    }
    return
  }
  const { needs, takes } = CREDENTIAL_MEMBERS[type.value as CredentialType]
  for (const member of needs) {
    if (given.some((item) => item.member === member)) continue
    problems.push(
      `${start}${member} is missing (${type.from}) — write it, the type ${JSON.stringify(type.value)} needs ${needs.join(' and ')}`,
    )
  }
  for (const { member, from } of given) {
    if (member === 'type' || needs.includes(member) || takes.includes(member)) continue
    const all = [...needs, ...takes].join(', ') || 'nothing else'
    problems.push(
      `${start}${member} does not apply to the type ${JSON.stringify(type.value)} (${from}) — write ${all}`,
    )
  }
  checkClient(start, type, resolution)
  if (type.value === 'connection') checkConnection(target, resolution)
}

type Given = (member: string) => { value: unknown; from: string } | undefined

function givenBelow(start: string, { values }: Resolution): Given {
  return (member) => {
    const found = values.get(start + member)
    return found === undefined || found.from === 'default' ? undefined : found
  }
}

/** Adds problems about how a client proves itself. */
function checkClient(
  start: string,
  type: { value: unknown; from: string },
  resolution: Resolution,
) {
  const { invalid, problems } = resolution
  const given = givenBelow(start, resolution)
  const [id, secret, key] = ['clientId', 'clientSecret', 'clientKey'].map(given)
  if (secret !== undefined && key !== undefined) {
    problems.push(
      `${start}clientSecret and ${start}clientKey are both set (${secret.from}, ${key.from}) — write one of them`,
    )
  }
  const proof = secret ?? key
  const isInvalid = ['clientId', 'clientSecret', 'clientKey'].some((it) => invalid.has(start + it))
  if (type.value === 'client-credentials' && proof === undefined && !isInvalid) {
    problems.push(
      `${start}clientSecret is missing (${type.from}) — write it, or clientKey: the type "client-credentials" needs one of them`,
    )
  }
  if (type.value === 'token-exchange' && proof !== undefined && id === undefined && !isInvalid) {
    problems.push(
      `${start}clientId is missing (${proof.from}) — write the client whose secret or key this is`,
    )
  }
}

/** Headers that the proxy sends itself, or that belong to the connection or to MCP. */
const NOT_FOR_KEYS =
  /^(host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|content-.*|accept|mcp-.*|last-event-id)$/

function checkConnection(target: string, resolution: Resolution): void {
  const { problems, warnings } = resolution
  const start = `targets.${target}.credential.`
  const given = givenBelow(start, resolution)
  const [by, tenant, scopes, header, app] = ['by', 'tenant', 'scopes', 'header', 'app'].map(given)
  if (by?.value === 'tenant' && tenant?.value === true) {
    problems.push(
      `${start}tenant is for the connection of a user, and ${start}by is tenant (${tenant.from}, ${by.from}) — leave one of them out`,
    )
  }
  if (Array.isArray(scopes?.value) && scopes.value.length === 0) {
    problems.push(
      `${start}scopes is empty (${scopes.from}) — write the scopes of the connection, or leave it out for the latest one`,
    )
  }
  const named = isObject(header?.value) ? header.value['name'] : header?.value
  if (header !== undefined && NOT_FOR_KEYS.test(String(named).toLowerCase())) {
    problems.push(
      `${start}header is ${JSON.stringify(named)}, which cannot carry a credential (${header.from}) — write another name, such as X-Api-Key`,
    )
  }
  const allow = givenBelow(`targets.${target}.tools.`, resolution)('allow')
  const tool = connectToolOf(String(app?.value))
  if (!Array.isArray(allow?.value) || by?.value === 'tenant') return
  if (createGlobMatcher(allow.value.map(String))(tool)) return
  warnings.push(
    `Users who have not connected yet are offered no tool to connect with, because tools.allow of the target "${target}" leaves out ${tool} (${allow.from}) — add "${tool}" to it`,
  )
}
