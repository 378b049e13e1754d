ovs-ofctl add-flow br-int "table=31,cookie=$Cookie,priority=220,ip,reg0=0x4/0xfff,nw_dst=192.168.187.0/24,ct_state=+new+trk actions=load:0x1->NXM_NX_REG0[19],resubmit(,50)"
ovs-ofctl add-flow br-int "table=31,cookie=$Cookie,priority=220,ip,reg0=0x4/0xfff,nw_dst=192.168.186.0/24,ct_state=+new+trk actions=load:0x1->NXM_NX_REG0[19],resubmit(,50)"
