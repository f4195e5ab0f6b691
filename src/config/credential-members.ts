import type { Resolution } from './resolve.js'
import type { CredentialConfig } from './types.js'

type CredentialType = CredentialConfig['type']

/** What each type of credential needs and takes. */
const CREDENTIAL_MEMBERS: Readonly<
  Record<CredentialType, { needs: readonly string[]; takes: readonly string[] }>
> = {
  none: { needs: [], takes: [] },
  bearer: { needs: ['token'], takes: [] },
  header: { needs: ['name', 'value'], takes: [] },
  'client-credentials': { needs: ['clientId', 'clientSecret'], takes: ['tokenUrl', 'scope'] },
  'token-exchange': {
    needs: ['clientId', 'clientSecret'],
    takes: ['scope', 'resource', 'audience'],
  },
  connection: { needs: ['app'], takes: ['by', 'managementKey'] },
}

/** Adds a problem for each member that a target's credential lacks or has for nothing. */
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
      `${start}${member} means nothing for the type ${JSON.stringify(type.value)} (${from}) — write ${all}`,
    )
  }
}
