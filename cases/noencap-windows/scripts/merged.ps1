$LcoalPodCIDR="192.168.187.0/24"
ovs-ofctl add-flow br-int "table=31,cookie=$Cookie,priority=210,ip,reg0=0x4/0xfff,nw_dst=$LcoalPodCIDR actions=load:0x1->NXM_NX_REG0[19],resubmit(,50)"
