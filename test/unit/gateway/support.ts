import type { Principal } from '../../../src/auth/principal.js'
import type { ToolPolicyConfig } from '../../../src/config/target-types.js'
import { createPolicy, createToolPolicy } from '../../../src/gateway/routing/policy.js'
import { createResourcePolicy } from '../../../src/gateway/routing/resource-policy.js'
import type { Target } from '../../../src/gateway/target.js'

export function principal(change: Partial<Principal> = {}): Principal {
  return {
    issuer: 'https://issuer.example',
    subject: 'alice',
    clientId: 'client',
    scopes: new Set(),
    tenant: undefined,
    roles: [],
    permissions: [],
    expiresAt: 2_000_000_000,
    ...change,
  }
}

export const OPEN_TOOLS: ToolPolicyConfig = {
  allow: ['*'],
  deny: [],
  scopes: {},
  roles: {},
  permissions: {},
  tenants: {},
  whenScopeMissing: 'list',
}

/** A target that nobody calls. */
export function target(
  name: string,
  { prefix = name, tools = {} }: { prefix?: string; tools?: Partial<ToolPolicyConfig> } = {},
): Target {
  const unused = () => {
    throw new Error('nobody calls this target')
  }
  const unusable = new Proxy({}, { get: unused })
  return {
    name,
    key: name,
    use: { calls: 0 },
    prefix,
    policy: createToolPolicy({ ...OPEN_TOOLS, ...tools }),
    promptPolicy: createPolicy('prompts', OPEN_TOOLS),
    resourcePolicy: createResourcePolicy(OPEN_TOOLS),
    takesMethod: () => true,
    credential: unusable as Target['credential'],
    upstream: unusable as Target['upstream'],
    url: undefined,
    state: 'unknown',
  }
}
